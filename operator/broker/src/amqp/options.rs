//! What is needed to connect.

use std::{fmt, sync::Arc, time::Duration};

use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};

use super::error::Error;

/// How long each kind of operation may take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timeouts {
    /// Resolving, TCP, TLS, SASL and opening the connection, all together.
    pub connect: Duration,
    /// Opening a link.
    pub attach: Duration,
    /// Waiting for the broker's credit, and then for the outcome of a message.
    pub send: Duration,
    /// Handing over a settlement.
    pub settle: Duration,
    /// Closing a link or the connection.
    pub close: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            attach: Duration::from_secs(10),
            // A quorum queue without a majority confirms nothing until it has elected a leader.
            send: Duration::from_secs(30),
            settle: Duration::from_secs(10),
            close: Duration::from_secs(5),
        }
    }
}

/// Trust in the broker's certificate.
#[derive(Clone)]
pub struct Tls {
    pub(super) config: Arc<ClientConfig>,
    pub(super) server_name: ServerName<'static>,
}

impl Tls {
    /// Trusts certificates issued by `ca_pem` for `server_name` (a DNS name or an IP address).
    pub fn from_ca_pem(ca_pem: &[u8], server_name: &str) -> Result<Self, Error> {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(ca_pem) {
            let certificate = certificate.map_err(|e| Error::Tls(format!("CA certificate cannot be read: {e}")))?;
            roots.add(certificate).map_err(|e| Error::Tls(format!("CA certificate cannot be used: {e}")))?;
        }
        if roots.is_empty() {
            return Err(Error::Tls("there is no certificate in the CA file; it must be PEM".to_owned()));
        }
        // The provider is named here: the process-wide default may not be set, and asking for it would panic then.
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|e| Error::Tls(e.to_string()))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Self::from_config(Arc::new(config), server_name)
    }

    /// Uses a configuration made elsewhere.
    pub fn from_config(config: Arc<ClientConfig>, server_name: &str) -> Result<Self, Error> {
        let server_name = ServerName::try_from(server_name.to_owned())
            .map_err(|_| Error::Tls(format!("{server_name:?} is neither a DNS name nor an IP address")))?;
        Ok(Self { config, server_name })
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("server_name", &self.server_name).finish_non_exhaustive()
    }
}

/// Where to connect to, and as whom.
#[derive(Clone)]
pub struct ConnectOptions {
    /// DNS name or IP address.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// Without it the connection, password included, is in plain text.
    pub tls: Option<Tls>,
    /// Virtual host.
    pub virtual_host: String,
    /// User name for SASL PLAIN.
    pub username: String,
    /// Password for SASL PLAIN.
    pub password: String,
    /// Shown by the broker as the connection's name.
    pub container_id: String,
    /// A peer silent for this long counts as gone. Each side sends empty frames well before.
    pub idle_timeout: Duration,
    /// Limits of single operations.
    pub timeouts: Timeouts,
}

impl ConnectOptions {
    /// Plain-text options with default limits; set the fields that differ.
    pub fn new(host: impl Into<String>, port: u16, username: impl Into<String>, password: impl Into<String>) -> Self {
        Self {
            host: host.into(),
            port,
            tls: None,
            virtual_host: "/".to_owned(),
            username: username.into(),
            password: password.into(),
            container_id: format!("entente-{:016x}", rand::random::<u64>()),
            idle_timeout: Duration::from_secs(20),
            timeouts: Timeouts::default(),
        }
    }
}

impl fmt::Debug for ConnectOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port, tls, virtual_host, username, password: _, container_id, idle_timeout, timeouts } = self;
        f.debug_struct("ConnectOptions")
            .field("host", host)
            .field("port", port)
            .field("tls", tls)
            .field("virtual_host", virtual_host)
            .field("username", username)
            .field("password", &"(hidden)")
            .field("container_id", container_id)
            .field("idle_timeout", idle_timeout)
            .field("timeouts", timeouts)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_password_is_not_shown() {
        let options = ConnectOptions::new("b", 5671, "me", "s3cret");
        let shown = format!("{options:?}");
        assert!(!shown.contains("s3cret") && shown.contains("me"), "{shown}");
    }

    #[test]
    fn a_file_without_certificates_is_no_ca() {
        for pem in ["", "hello", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"] {
            assert!(matches!(Tls::from_ca_pem(pem.as_bytes(), "b"), Err(Error::Tls(_))), "{pem:?}");
        }
        let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert!(matches!(Tls::from_ca_pem(broken.as_bytes(), "b"), Err(Error::Tls(_))));
    }
}
