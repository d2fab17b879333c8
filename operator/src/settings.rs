//! The command line and the environment.

use std::net::SocketAddr;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use entente_crds::text::DurationText;

use crate::admission::{Certificates, Names};

/// Runs a replicated AMQP 1.0 broker on Kubernetes and keeps its topology as declared.
#[derive(Debug, Parser)]
#[command(name = "entente-operator", version)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// What to log, by module: such as `info` or `info,entente_operator=debug`.
    #[arg(long, env = "ENTENTE_LOG", default_value = "info", global = true)]
    pub log: String,
    /// How log lines look.
    #[arg(long, env = "ENTENTE_LOG_FORMAT", default_value = "json", global = true)]
    pub log_format: LogFormat,
}

/// Commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the operator until it is told to stop.
    Run(Box<RunSettings>),
    /// The CustomResourceDefinitions of this version.
    Crds {
        /// What to do with them.
        #[command(subcommand)]
        command: CrdsCommand,
    },
}

/// Commands on the CustomResourceDefinitions.
#[derive(Clone, Copy, Debug, Subcommand)]
pub enum CrdsCommand {
    /// Bring those of the cluster to this version, and wait until they are served.
    Apply,
    /// Write them to standard output as YAML.
    Print,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// One JSON object a line, for machines.
    Json,
    /// For people.
    Pretty,
}

/// Settings of `run`.
#[derive(Clone, Debug, Args)]
#[allow(clippy::struct_excessive_bools)] // each is a switch of its own
pub struct RunSettings {
    /// The operator's own namespace: the leader election's Lease is there.
    #[arg(long, env = "ENTENTE_NAMESPACE")]
    pub namespace: String,
    /// Name of this replica, unique among them.
    #[arg(long, env = "ENTENTE_POD_NAME")]
    pub pod_name: String,
    /// Image of Brokers that name none.
    #[arg(long, env = "ENTENTE_BROKER_IMAGE")]
    pub broker_image: String,
    /// Namespaces in which Brokers may run, separated by commas; `*` for every one.
    #[arg(long, env = "ENTENTE_BROKER_NAMESPACES", default_value = "", value_delimiter = ',')]
    pub broker_namespaces: Vec<String>,
    /// DNS domain of the cluster.
    #[arg(long, env = "ENTENTE_CLUSTER_DOMAIN", default_value = "cluster.local")]
    pub cluster_domain: String,
    /// Namespaces in which pods may get the annotation that says who goes first at a scale-down, separated by commas; `*` for every one.
    #[arg(long, env = "ENTENTE_POD_DELETION_COST_NAMESPACES", default_value = "", value_delimiter = ',')]
    pub pod_deletion_cost_namespaces: Vec<String>,
    /// Where to serve `/healthz`, `/readyz` and `/metrics`.
    #[arg(long, env = "ENTENTE_LISTEN", default_value = "0.0.0.0:8080")]
    pub listen: SocketAddr,
    /// How often whole virtual hosts are compared with what is declared, beside the broker's own events.
    #[arg(long, env = "ENTENTE_RESYNC", default_value = "60s", value_parser = duration)]
    pub resync: Duration,
    /// Learn of changes at the broker by its events. Without, the resync alone finds them.
    #[arg(long, env = "ENTENTE_BROKER_EVENTS", default_value_t = true, action = clap::ArgAction::Set)]
    pub broker_events: bool,
    /// Measure the assurances of ServiceContracts by probes.
    #[arg(long, env = "ENTENTE_PROBES", default_value_t = true, action = clap::ArgAction::Set)]
    pub probes: bool,
    /// Check messages of ServiceContracts that ask for it.
    #[arg(long, env = "ENTENTE_CHECKS", default_value_t = true, action = clap::ArgAction::Set)]
    pub checks: bool,
    /// Serve the documents of ServiceContracts beside the metrics: whoever reaches them reads the contracts of every namespace.
    #[arg(long, env = "ENTENTE_DOCUMENTS", default_value_t = false, action = clap::ArgAction::Set)]
    pub documents: bool,
    /// Where to answer KEDA, while leading. It is not answered without.
    #[arg(long, env = "ENTENTE_KEDA_LISTEN")]
    pub keda_listen: Option<SocketAddr>,
    /// Name of the Service by which KEDA asks, and of the Secret with its certificate.
    #[arg(long, env = "ENTENTE_KEDA_NAME", default_value = "entente-operator-keda")]
    pub keda_name: String,
    /// Where to serve the admission webhook. It is not served without.
    #[arg(long, env = "ENTENTE_ADMISSION_LISTEN")]
    pub admission_listen: Option<SocketAddr>,
    /// Name of the webhook's Service, of the Secret with its certificate, and of its ValidatingWebhookConfiguration.
    #[arg(long, env = "ENTENTE_ADMISSION_NAME", default_value = "entente-operator-admission")]
    pub admission_name: String,
    /// Who makes the webhook's certificate.
    #[arg(long, env = "ENTENTE_ADMISSION_CERTIFICATES", default_value = "self-issued")]
    pub admission_certificates: Certificates,
}

impl RunSettings {
    /// Where the admission webhook is.
    pub fn admission_names(&self) -> Names {
        self.names(&self.admission_name)
    }

    /// Where KEDA asks.
    pub fn keda_names(&self) -> Names {
        self.names(&self.keda_name)
    }

    fn names(&self, name: &str) -> Names {
        Names { name: name.to_owned(), namespace: self.namespace.clone(), cluster_domain: self.cluster_domain.clone() }
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    let parsed = DurationText(text.to_owned()).as_duration().map_err(|error| error.to_string())?;
    if parsed < Duration::from_secs(1) {
        return Err("must be at least 1s".to_owned());
    }
    Ok(parsed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }

    #[test]
    fn a_resync_that_would_never_rest_is_refused() {
        assert_eq!(duration("60s"), Ok(Duration::from_mins(1)));
        assert!(duration("10ms").is_err());
        assert!(duration("often").unwrap_err().contains("90s"));
    }
}
