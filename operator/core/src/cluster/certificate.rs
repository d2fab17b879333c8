//! Which names the nodes' certificate is for.

use super::names::{self, Identity};

/// Every DNS name under which clients, the operator and the nodes themselves reach a node. The first
/// is the full name of the client Service.
pub fn hosts(identity: Identity<'_>, cluster_domain: &str) -> Vec<String> {
    let namespace = identity.namespace;
    let client = names::client_service(identity.name);
    let nodes = names::headless_service(identity.name);
    vec![
        format!("{client}.{namespace}.svc.{cluster_domain}"),
        format!("{client}.{namespace}.svc"),
        format!("{client}.{namespace}"),
        client,
        format!("*.{nodes}.{namespace}.svc.{cluster_domain}"),
        format!("*.{nodes}.{namespace}.svc"),
        format!("*.{nodes}.{namespace}"),
        format!("*.{nodes}"),
        "localhost".to_owned(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_and_nodes_are_covered() {
        let hosts = hosts(Identity { name: "main", namespace: "messaging", uid: "1" }, "cluster.local");
        assert_eq!(hosts[0], "main.messaging.svc.cluster.local");
        for host in ["main", "main.messaging", "main.messaging.svc", "*.main-nodes.messaging.svc.cluster.local", "localhost"] {
            assert!(hosts.iter().any(|there| there == host), "{host}");
        }
    }
}
