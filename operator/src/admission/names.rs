//! What the webhook is called, in the chart and here.

use clap::ValueEnum;

/// Name of the one entry in the ValidatingWebhookConfiguration. It never changes: an entry of which the operator has written the
/// authority cannot be dropped by an upgrade of the chart, as two managers have a part in it.
pub const WEBHOOK: &str = "admission.entente.dev";

/// Who makes the certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Certificates {
    /// The operator, and it tells the API server whom to trust.
    SelfIssued,
    /// Somebody else, such as cert-manager; the operator only reads the Secret.
    Given,
}

/// Where the webhook is.
#[derive(Clone, Debug)]
pub struct Names {
    /// Name of the Service, of the Secret with the certificate, and of the ValidatingWebhookConfiguration.
    pub name: String,
    /// Namespace of the first two.
    pub namespace: String,
    /// DNS domain of the cluster.
    pub cluster_domain: String,
}

impl Names {
    /// The names under which the API server may ask for the Service.
    pub fn hosts(&self) -> Vec<String> {
        let Self { name, namespace, cluster_domain } = self;
        vec![format!("{name}.{namespace}.svc"), format!("{name}.{namespace}.svc.{cluster_domain}")]
    }
}
