//! A small AMQP 1.0 producer and consumer, and a redrive of dead letters, for demonstrations and tests.
//!
//! Progress goes to standard error; the last line, on standard output, is JSON.

mod args;
mod binding;
mod consume;
mod end;
mod produce;
mod progress;
mod redrive;
mod sequences;
mod target;

use std::{
    io::{self, IsTerminal},
    process::ExitCode,
};

use clap::Parser;
use tracing_subscriber::{EnvFilter, fmt};

use args::{Args, Command};

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    let filter = EnvFilter::try_from_env("ENTENTE_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    fmt().with_env_filter(filter).with_writer(io::stderr).with_ansi(io::stderr().is_terminal()).with_target(false).init();

    let outcome = match args.command {
        Command::Produce(args) => Box::pin(produce::run(args)).await,
        Command::Consume(args) => Box::pin(consume::run(args)).await,
        Command::Redrive(args) => Box::pin(redrive::run(args)).await,
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::from(2)
        }
    }
}
