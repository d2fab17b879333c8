//! The Kubernetes side.

use std::path::PathBuf;

use anyhow::{Context, Result};
use entente_crds::{Broker, Queue};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Event, Namespace, Pod, Secret, Service};
use kube::api::ListParams;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};

/// Namespace of the operator and the default Broker.
pub const SYSTEM: &str = "entente-system";

const KUBECONFIG: &str = "/var/lib/entente-e2e/admin.kubeconfig";

/// An administrator's connection to the test cluster.
#[derive(Clone)]
pub struct Cluster {
    /// The client.
    pub client: Client,
}

async fn config() -> Result<Config> {
    let file = std::env::var_os("KUBECONFIG").map_or_else(|| PathBuf::from(KUBECONFIG), PathBuf::from);
    let kubeconfig = Kubeconfig::read_from(&file)
        .with_context(|| format!("{} cannot be read: make cluster-up starts a cluster", file.display()))?;
    Ok(Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?)
}

impl Cluster {
    /// Connects by `KUBECONFIG`, and without it to the cluster that `make cluster-up` starts.
    pub async fn connect() -> Result<Self> {
        Ok(Self { client: Client::try_from(config().await?)? })
    }

    /// Connects as the operator, with its rights and no others.
    pub async fn connect_as_operator() -> Result<Client> {
        let mut config = config().await?;
        config.auth_info.impersonate = Some(format!("system:serviceaccount:{SYSTEM}:entente-operator"));
        Ok(Client::try_from(config)?)
    }

    /// Queues of a namespace.
    pub fn queues(&self, namespace: &str) -> Api<Queue> {
        Api::namespaced(self.client.clone(), namespace)
    }

    /// Brokers of a namespace.
    pub fn brokers(&self, namespace: &str) -> Api<Broker> {
        Api::namespaced(self.client.clone(), namespace)
    }

    /// Pods of a namespace.
    pub fn pods(&self, namespace: &str) -> Api<Pod> {
        Api::namespaced(self.client.clone(), namespace)
    }

    /// Pods of the Broker `main`.
    pub async fn broker_pods(&self) -> Result<Vec<Pod>> {
        Ok(self.pods(SYSTEM).list(&ListParams::default().labels("entente.dev/broker=main")).await?.items)
    }

    /// Events of a namespace.
    pub fn events(&self, namespace: &str) -> Api<Event> {
        Api::namespaced(self.client.clone(), namespace)
    }

    /// Secrets of a namespace.
    pub fn secrets(&self, namespace: &str) -> Api<Secret> {
        Api::namespaced(self.client.clone(), namespace)
    }

    /// Services of a namespace.
    pub fn services(&self, namespace: &str) -> Api<Service> {
        Api::namespaced(self.client.clone(), namespace)
    }

    /// Deployments of the operator's namespace.
    pub fn deployments(&self) -> Api<Deployment> {
        Api::namespaced(self.client.clone(), SYSTEM)
    }

    /// Leases of the operator's namespace.
    pub fn leases(&self) -> Api<Lease> {
        Api::namespaced(self.client.clone(), SYSTEM)
    }

    /// Namespaces.
    pub fn namespaces(&self) -> Api<Namespace> {
        Api::all(self.client.clone())
    }
}
