//! Certificates of our own making: those of Brokers, and that of the admission webhook.
//!
//! Each Broker has an authority of its own, so that trusting one trusts no other. Everything is
//! decided from what the Secrets hold and the time: a restart of the operator changes nothing.

use std::time::Duration;

use entente_core::cluster::secrets::KeyPair;
use jiff::Timestamp;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyUsagePurpose,
};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

/// The authority outlives most Brokers: clients that keep its certificate need not fetch it again.
const AUTHORITY_LIFE: Duration = Duration::from_hours(3650 * 24);
/// An authority with less left is renewed; with the same key, so that what it signed stays valid.
const AUTHORITY_MARGIN: Duration = Duration::from_hours(365 * 24);
/// How long a server certificate is valid.
const SERVER_LIFE: Duration = Duration::from_hours(90 * 24);
/// Clocks differ: a certificate is valid a little before it was made.
const CLOCK_SKEW: Duration = Duration::from_hours(1);

/// Why a certificate could not be made.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// Making or signing failed.
    #[error("a certificate cannot be made: {0}")]
    Make(#[from] rcgen::Error),
}

/// Makes an authority. `name` is for people who look at it.
pub fn new_authority(name: &str, now: Timestamp) -> Result<KeyPair, CertificateError> {
    authority_of(&rcgen::KeyPair::generate()?, name, now)
}

/// Makes the authority's certificate anew, with the key it has.
pub fn renew_authority(authority: &KeyPair, name: &str, now: Timestamp) -> Result<KeyPair, CertificateError> {
    authority_of(&rcgen::KeyPair::from_pem(&authority.private_key)?, name, now)
}

fn authority_of(key: &rcgen::KeyPair, name: &str, now: Timestamp) -> Result<KeyPair, CertificateError> {
    let mut params = CertificateParams::default();
    params.distinguished_name = common_name(name);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign, KeyUsagePurpose::DigitalSignature];
    set_validity(&mut params, now, AUTHORITY_LIFE);
    let certificate = params.self_signed(key)?;
    Ok(KeyPair { certificate: certificate.pem(), private_key: key.serialize_pem() })
}

/// Makes a certificate for `hosts` with a new key.
pub fn issue(authority: &KeyPair, hosts: &[String], now: Timestamp) -> Result<KeyPair, CertificateError> {
    let issuer = Issuer::from_ca_cert_pem(&authority.certificate, rcgen::KeyPair::from_pem(&authority.private_key)?)?;
    let key = rcgen::KeyPair::generate()?;
    let mut params = CertificateParams::new(hosts)?;
    // The names that count are the alternative ones. This one has a limit of 64 characters, which a DNS name can pass.
    params.distinguished_name = common_name("entente");
    params.use_authority_key_identifier_extension = true;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    set_validity(&mut params, now, SERVER_LIFE);
    let certificate = params.signed_by(&key, &issuer)?;
    Ok(KeyPair { certificate: certificate.pem(), private_key: key.serialize_pem() })
}

fn common_name(name: &str) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    distinguished.push(DnType::CommonName, name.chars().take(64).collect::<String>());
    distinguished
}

fn set_validity(params: &mut CertificateParams, now: Timestamp, life: Duration) {
    let now = rcgen::date_time_ymd(1970, 1, 1) + Duration::from_secs(now.as_second().try_into().unwrap_or(0));
    params.not_before = now - CLOCK_SKEW;
    params.not_after = now + life;
}

/// What is to be done about a certificate that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing.
    Good,
    /// It is to be replaced, for this reason.
    Replace(&'static str),
}

/// Looks at an authority that is there. Replacing it breaks clients that keep its certificate, so
/// only what cannot work any more is replaced; age alone asks for [`renew_authority`].
pub fn check_authority(authority: &KeyPair, now: Timestamp) -> Verdict {
    let Some(der) = der_of(&authority.certificate) else { return Verdict::Replace("its certificate cannot be read") };
    let Ok((_, certificate)) = X509Certificate::from_der(&der) else { return Verdict::Replace("its certificate cannot be read") };
    if !holds_key_of(authority, &certificate) {
        return Verdict::Replace("its private key is another one's");
    }
    if !certificate.is_ca() {
        return Verdict::Replace("it is no authority");
    }
    let margin = i64::try_from(AUTHORITY_MARGIN.as_secs()).unwrap_or(i64::MAX);
    if certificate.validity().not_after.timestamp() - now.as_second() < margin {
        return Verdict::Replace(AUTHORITY_IS_OLD);
    }
    Verdict::Good
}

/// The one reason for which the key is kept.
pub const AUTHORITY_IS_OLD: &str = "it ends within a year";

/// Looks at a server certificate that is there.
pub fn check(serving: &KeyPair, authority: &str, hosts: &[String], now: Timestamp) -> Verdict {
    let unreadable = Verdict::Replace("it cannot be read");
    let (Some(der), Some(authority)) = (der_of(&serving.certificate), der_of(authority)) else { return unreadable };
    let (Ok((_, certificate)), Ok((_, authority))) = (X509Certificate::from_der(&der), X509Certificate::from_der(&authority))
    else {
        return unreadable;
    };
    if certificate.verify_signature(Some(authority.public_key())).is_err() {
        return Verdict::Replace("another authority signed it");
    }
    if !holds_key_of(serving, &certificate) {
        return Verdict::Replace("its private key is another one's");
    }
    if !covers(&certificate, hosts) {
        return Verdict::Replace("it does not cover all names");
    }
    let (from, to) = (certificate.validity().not_before.timestamp(), certificate.validity().not_after.timestamp());
    if now.as_second() >= from + (to - from) / 3 * 2 {
        return Verdict::Replace("two thirds of its life are over");
    }
    Verdict::Good
}

fn der_of(pem: &str) -> Option<Vec<u8>> {
    x509_parser::pem::parse_x509_pem(pem.as_bytes()).ok().map(|(_, pem)| pem.contents)
}

fn holds_key_of(pair: &KeyPair, certificate: &X509Certificate<'_>) -> bool {
    rcgen::KeyPair::from_pem(&pair.private_key)
        .is_ok_and(|key| key.public_key_raw() == certificate.public_key().subject_public_key.data.as_ref())
}

fn covers(certificate: &X509Certificate<'_>, hosts: &[String]) -> bool {
    let Ok(Some(names)) = certificate.subject_alternative_name() else { return false };
    let names: Vec<&str> = names
        .value
        .general_names
        .iter()
        .filter_map(|name| match name {
            GeneralName::DNSName(name) => Some(*name),
            _ => None,
        })
        .collect();
    hosts.iter().all(|host| names.contains(&host.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_790_000_000;

    fn after(days: i64) -> Timestamp {
        Timestamp::from_second(NOW + days * 86_400).unwrap()
    }

    fn hosts() -> Vec<String> {
        ["main.messaging.svc", "*.main-nodes.messaging.svc", "localhost"].map(str::to_owned).to_vec()
    }

    #[test]
    fn a_certificate_is_good_for_two_thirds_of_its_life() {
        let authority = new_authority("messaging/main", after(0)).unwrap();
        let serving = issue(&authority, &hosts(), after(0)).unwrap();
        let check = |days| check(&serving, &authority.certificate, &hosts(), after(days));
        assert_eq!(check(0), Verdict::Good);
        assert_eq!(check(59), Verdict::Good);
        assert_eq!(check(61), Verdict::Replace("two thirds of its life are over"));
        assert_eq!(check(400), Verdict::Replace("two thirds of its life are over"));
    }

    #[test]
    fn another_authority_or_name_or_key_is_noticed() {
        let authority = new_authority("messaging/main", after(0)).unwrap();
        let serving = issue(&authority, &hosts(), after(0)).unwrap();
        let other = new_authority("messaging/main", after(0)).unwrap();
        assert_eq!(check(&serving, &other.certificate, &hosts(), after(0)), Verdict::Replace("another authority signed it"));
        let mut more = hosts();
        more.push("main.other.svc".into());
        assert_eq!(check(&serving, &authority.certificate, &more, after(0)), Verdict::Replace("it does not cover all names"));
        let mixed = KeyPair { private_key: other.private_key.clone(), ..serving };
        assert_eq!(
            check(&mixed, &authority.certificate, &hosts(), after(0)),
            Verdict::Replace("its private key is another one's")
        );
        let garbage = KeyPair { certificate: "x".into(), private_key: "y".into() };
        assert_eq!(check(&garbage, &authority.certificate, &hosts(), after(0)), Verdict::Replace("it cannot be read"));
        assert_eq!(check_authority(&garbage, after(0)), Verdict::Replace("its certificate cannot be read"));
    }

    #[test]
    fn a_renewed_authority_still_vouches_for_what_it_signed() {
        let authority = new_authority("messaging/main", after(0)).unwrap();
        assert_eq!(check_authority(&authority, after(0)), Verdict::Good);
        assert_eq!(check_authority(&authority, after(3400)), Verdict::Replace(AUTHORITY_IS_OLD));
        let serving = issue(&authority, &hosts(), after(3400)).unwrap();
        let renewed = renew_authority(&authority, "messaging/main", after(3400)).unwrap();
        assert_eq!(check_authority(&renewed, after(3400)), Verdict::Good);
        assert_eq!(check(&serving, &renewed.certificate, &hosts(), after(3400)), Verdict::Good);
    }

    #[test]
    fn a_server_certificate_is_no_authority() {
        let authority = new_authority("messaging/main", after(0)).unwrap();
        let serving = issue(&authority, &hosts(), after(0)).unwrap();
        assert_eq!(check_authority(&serving, after(0)), Verdict::Replace("it is no authority"));
    }
}
