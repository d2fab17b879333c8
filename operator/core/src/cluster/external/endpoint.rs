//! The addresses of a RabbitMQ, as its owner wrote them.

use std::net::IpAddr;

use entente_crds::broker::{Endpoints, External};

use crate::cluster::names::ports;

/// One address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Name or address, IPv6 without brackets.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Whether TLS is spoken.
    pub tls: bool,
}

/// Where a RabbitMQ is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The HTTP API.
    pub management: Endpoint,
    /// AMQP.
    pub amqp: Endpoint,
}

impl Target {
    /// From what the Broker says. The error says which field is wrong, and how it should be.
    pub fn of(external: &External) -> Result<Self, String> {
        let External { uri, secret_ref: _, amqp_uri } = external;
        let management = parse(uri, [("https", 443), ("http", 80)])
            .ok_or_else(|| format!("external.uri {uri:?} is not the URI of an HTTP API, such as https://rabbit.example:15671"))?;
        let amqp = match amqp_uri {
            None => {
                let port = if management.tls { ports::AMQPS } else { ports::AMQP };
                Endpoint { port: u16::try_from(port).unwrap_or_default(), ..management.clone() }
            }
            Some(uri) => parse(uri, [("amqps", 5671), ("amqp", 5672)])
                .ok_or_else(|| format!("external.amqpUri {uri:?} is not such as amqps://rabbit.example:5671"))?,
        };
        // A loopback address is the operator's own pod, and a link-local one its machine or its cloud: nothing that is
        // not already reachable for the owner may be asked in the operator's name.
        for (field, endpoint) in [("uri", &management), ("amqpUri", &amqp)] {
            if !is_reachable(&endpoint.host) {
                return Err(format!(
                    "external.{field} leads to {}, which is the operator's own machine or a link-local address; name the RabbitMQ by its Service or its public name",
                    endpoint.host
                ));
            }
        }
        Ok(Self { management, amqp })
    }

    /// What the status says of where clients connect.
    pub fn endpoints(&self) -> Endpoints {
        let scheme = |tls: bool, name: &str| format!("{name}{}", if tls { "s" } else { "" });
        let text = |endpoint: &Endpoint, name: &str| {
            let Endpoint { host, port, tls } = endpoint;
            let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
            format!("{}://{host}:{port}", scheme(*tls, name))
        };
        Endpoints { amqp: text(&self.amqp, "amqp"), management: text(&self.management, "http"), ca_secret: None }
    }
}

/// Whether the operator may connect to this address.
pub fn may_connect(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => !(address.is_loopback() || address.is_link_local() || address.is_unspecified()),
        IpAddr::V6(address) => match address.to_ipv4_mapped() {
            Some(mapped) => may_connect(IpAddr::V4(mapped)),
            None => !(address.is_loopback() || address.is_unicast_link_local() || address.is_unspecified()),
        },
    }
}

fn is_reachable(host: &str) -> bool {
    let name = host.trim_end_matches('.').to_ascii_lowercase();
    if name == "localhost" || name.ends_with(".localhost") {
        return false;
    }
    host.parse().ok().is_none_or(may_connect)
}

/// `scheme://host[:port][/]` and nothing else. A URI without a port has the scheme's own, as everywhere.
fn parse(uri: &str, schemes: [(&str, u16); 2]) -> Option<Endpoint> {
    let (scheme, rest) = uri.split_once("://")?;
    let place = schemes.iter().position(|(known, _)| *known == scheme)?;
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    if uri.len() > 512 || rest.is_empty() || rest.chars().any(|c| c.is_whitespace() || c.is_control() || "/?#@\\".contains(c)) {
        return None;
    }
    let (host, port) = match rest.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']')?;
            host.parse::<std::net::Ipv6Addr>().ok()?;
            (host, if port.is_empty() { None } else { Some(port.strip_prefix(':')?) })
        }
        None => match rest.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (rest, None),
        },
    };
    let port = match port {
        Some(port) if port.bytes().all(|byte| byte.is_ascii_digit()) => port.parse().ok().filter(|port| *port > 0)?,
        Some(_) => return None,
        None => schemes[place].1,
    };
    // Numbers in forms that only some take for an address, such as 2130706433 or 0x7f.1, are no names.
    let last = host.trim_end_matches('.').rsplit('.').next().unwrap_or_default();
    let numeric = last.bytes().all(|byte| byte.is_ascii_digit()) || last.starts_with("0x") || last.starts_with("0X");
    if host.is_empty() || (numeric && host.parse::<IpAddr>().is_err()) {
        return None;
    }
    Some(Endpoint { host: host.to_owned(), port, tls: place == 0 })
}

#[cfg(test)]
mod tests {
    use entente_crds::queue::LocalRef;

    use super::*;

    fn target(uri: &str, amqp_uri: Option<&str>) -> Result<Target, String> {
        let secret_ref = LocalRef { name: "s".into() };
        Target::of(&External { uri: uri.into(), secret_ref, amqp_uri: amqp_uri.map(str::to_owned) })
    }

    fn amqp(uri: &str, amqp_uri: Option<&str>) -> String {
        target(uri, amqp_uri).unwrap().endpoints().amqp
    }

    #[test]
    fn amqp_is_where_the_api_is_unless_it_is_said() {
        assert_eq!(amqp("https://rabbit.example:15671", None), "amqps://rabbit.example:5671");
        assert_eq!(amqp("http://rabbit.example:8080/", None), "amqp://rabbit.example:5672");
        assert_eq!(amqp("http://rabbit.example", Some("amqps://other.example")), "amqps://other.example:5671");
        assert_eq!(amqp("https://[2001:db8::1]:15671", None), "amqps://[2001:db8::1]:5671");
        assert_eq!(target("https://rabbit.example", None).unwrap().management.port, 443);
        assert_eq!(target("https://rabbit.example/", None).unwrap().endpoints().management, "https://rabbit.example:443");
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for uri in [
            "",
            "rabbit.example",
            "ftp://rabbit.example",
            "https://",
            "https:///",
            "https://a/b",
            "https://a?b",
            "https://a#b",
            "https://user:pw@a",
            "https://a:0",
            "https://a:65536",
            "https://a:+1",
            "https://a:",
            "https://[::1",
            "https://[x]",
            "https://[2001:db8::1]x",
            "https://a b",
            "https://a\\b",
            "https://2130706433",
            "https://0x7f.1",
            "https://127.1",
            "https://1.2.3.256",
            "amqps://a",
        ] {
            assert!(target(uri, None).is_err(), "{uri}");
        }
        assert!(target("https://a", Some("https://a")).unwrap_err().contains("amqpUri"));
    }

    #[test]
    fn the_operators_own_machine_is_not_asked() {
        for host in [
            "127.0.0.1",
            "127.9.9.9",
            "0.0.0.0",
            "169.254.169.254",
            "[::1]",
            "[::]",
            "[fe80::1]",
            "[::ffff:127.0.0.1]",
            "localhost",
            "LOCALHOST.",
            "a.localhost",
        ] {
            let refusal = target(&format!("http://{host}:15672"), None).unwrap_err();
            assert!(refusal.contains("own machine"), "{host}: {refusal}");
        }
        for host in ["10.0.0.1", "192.0.2.1", "rabbit", "rabbit.team.svc.cluster.local", "[2001:db8::1]"] {
            assert!(target(&format!("http://{host}:15672"), None).is_ok(), "{host}");
        }
    }
}
