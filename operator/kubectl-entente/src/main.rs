//! `kubectl entente`: what of Entente is decided without a cluster, for people and for CI.
//!
//! kubectl finds plugins by name: this binary anywhere in `PATH` makes `kubectl entente …` work. It also runs by its own name.

mod arguments;
mod contract;
mod document;
mod files;
mod filter;
mod output;

use std::process::ExitCode;

use clap::Parser;

use arguments::{Arguments, Command, ContractCommand, FilterCommand};

/// How a command ends; the number is the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    /// Compatible; the filter is valid, or matches.
    Yes = 0,
    /// Incompatible; the filter does not match.
    No = 1,
    /// The input cannot be used. clap ends with the same code where the command line is wrong.
    Unusable = 2,
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Contract(ContractCommand::Check(check)) => contract::check(&check),
        Command::Contract(ContractCommand::Document(arguments)) => document::document(&arguments),
        Command::Filter(FilterCommand::Test(test)) => filter::test(&test),
    };
    ExitCode::from(outcome as u8)
}
