//! The Entente operator.

use clap::Parser;
use entente_operator::settings::{Cli, Command, CrdsCommand};
use entente_operator::{crds, run, telemetry};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let Cli { command, log, log_format } = Cli::parse();
    let _telemetry = telemetry::start(&log, log_format)?;
    // The Kubernetes client asks for the process-wide provider of cryptography.
    let _ = rustls::crypto::ring::default_provider().install_default();
    match command {
        Command::Run(settings) => run::run(settings).await,
        Command::Crds { command: CrdsCommand::Apply } => crds::apply(kube::Client::try_default().await?).await,
        Command::Crds { command: CrdsCommand::Print } => {
            print!("{}", crds::yaml()?);
            Ok(())
        }
    }
}
