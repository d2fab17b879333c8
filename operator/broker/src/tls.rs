//! Trust in a broker's certificate, the same for HTTP and AMQP.

use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

/// A certificate or setting that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// There is no certificate in the text.
    #[error("there is no certificate in the authority's PEM")]
    Empty,
    /// The text is not PEM.
    #[error("the authority's certificate cannot be read: {0}")]
    Pem(String),
    /// TLS refuses it.
    #[error("the authority's certificate cannot be used: {0}")]
    Tls(#[from] rustls::Error),
}

/// Trusts certificates issued by `ca_pem`, and none without it.
///
/// The cryptography provider is named here: asking for a process-wide default that was not set would panic.
pub fn client_config(ca_pem: Option<&[u8]>) -> Result<ClientConfig, TlsError> {
    let mut roots = RootCertStore::empty();
    if let Some(pem) = ca_pem {
        for certificate in CertificateDer::pem_slice_iter(pem) {
            roots.add(certificate.map_err(|error| TlsError::Pem(error.to_string()))?)?;
        }
        if roots.is_empty() {
            return Err(TlsError::Empty);
        }
    }
    Ok(ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_authority_without_a_certificate_is_refused() {
        assert!(client_config(None).is_ok());
        assert!(matches!(client_config(Some(b"")), Err(TlsError::Empty)));
        let broken = b"-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n";
        assert!(matches!(client_config(Some(broken)), Err(TlsError::Pem(_))));
    }
}
