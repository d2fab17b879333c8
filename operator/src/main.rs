//! The Entente operator.

use std::io::{Write, stdout};
use std::os::unix::process::CommandExt;

use clap::Parser;
use entente_operator::run::End;
use entente_operator::settings::{Cli, Command, CrdsCommand};
use entente_operator::{crds, run, telemetry};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let Cli { command, log, log_format } = Cli::parse();
    let _telemetry = telemetry::start(&log, log_format)?;
    // The Kubernetes client asks for the process-wide provider of cryptography.
    let _ = rustls::crypto::ring::default_provider().install_default();
    match command {
        Command::Run(settings) => match run::run(*settings).await? {
            End::Stopped => Ok(()),
            End::Deposed(why) => {
                tracing::warn!(why, "no longer leading; begins anew as a replica that stands by");
                Err(begin_anew())
            }
        },
        Command::Crds { command: CrdsCommand::Apply } => crds::apply(kube::Client::try_default().await?).await,
        Command::Crds { command: CrdsCommand::Print } => Ok(stdout().write_all(crds::yaml()?.as_bytes())?),
    }
}

/// Replaces this process by itself, so that nothing of what it did goes on. Returns only the reason why it could not.
///
/// To exit would do the same; but Kubernetes starts a container that exits often only after minutes.
fn begin_anew() -> anyhow::Error {
    let program = match std::env::current_exe() {
        Ok(program) => program,
        Err(error) => return error.into(),
    };
    std::process::Command::new(program).args(std::env::args_os().skip(1)).exec().into()
}
