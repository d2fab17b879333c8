//! Names that somebody else chose, resolved.

use std::error::Error;
use std::net::SocketAddr;

use entente_core::cluster::external::may_connect;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// Resolves as the system does, and drops the addresses of the operator's own machine: a name in somebody's zone can lead
/// anywhere, and change after it was looked at.
#[derive(Debug)]
pub struct Guarded;

impl Resolve for Guarded {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(elsewhere(name))
    }
}

async fn elsewhere(name: Name) -> Result<Addrs, Box<dyn Error + Send + Sync>> {
    let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
    let allowed: Vec<SocketAddr> = found.filter(|address| may_connect(address.ip())).collect();
    if allowed.is_empty() {
        return Err("its name leads to the operator's own machine or to a link-local address".into());
    }
    Ok(Box::new(allowed.into_iter()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_name_of_the_own_machine_leads_nowhere() {
        let refused = Guarded.resolve("localhost".parse().unwrap()).await;
        assert!(refused.err().unwrap().to_string().contains("own machine"));
    }
}
