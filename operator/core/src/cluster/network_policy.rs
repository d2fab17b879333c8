//! The `NetworkPolicy`: who may reach which ports of a node.
//!
//! Client ports are open: identities and virtual hosts decide there. The distribution ports are
//! for the Broker's own nodes, since whoever speaks Erlang distribution with the cookie may run
//! anything in them. The HTTP API and the metrics name every tenant's queues, so they are for the
//! operator's namespace and the Broker's own.

use std::collections::BTreeMap;

use entente_crds::Broker;
use k8s_openapi::api::networking::v1::{
    NetworkPolicy, NetworkPolicyIngressRule, NetworkPolicyPeer, NetworkPolicyPort, NetworkPolicySpec,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::channels::{self, Listener};
use super::meta;
use super::names::{self, Identity};

/// The label that Kubernetes itself keeps on each namespace.
const NAMESPACE_NAME_LABEL: &str = "kubernetes.io/metadata.name";
/// Ports that RabbitMQ's command-line tools listen on while they run.
const TOOL_PORTS: (i32, i32) = (35672, 35682);

/// Builds the policy.
pub fn build(broker: &Broker, identity: Identity<'_>, operator_namespace: &str) -> NetworkPolicy {
    let nodes = NetworkPolicyPeer { pod_selector: Some(meta::label_selector(identity.name)), ..NetworkPolicyPeer::default() };
    let mut between_nodes = ports(&channels::INTERNAL_LISTENERS);
    between_nodes.push(NetworkPolicyPort {
        port: Some(IntOrString::Int(TOOL_PORTS.0)),
        end_port: Some(TOOL_PORTS.1),
        protocol: Some("TCP".to_owned()),
    });
    let mut namespaces = vec![operator_namespace];
    if identity.namespace != operator_namespace {
        namespaces.push(identity.namespace);
    }
    NetworkPolicy {
        metadata: meta::owned(identity, names::network_policy(identity.name)),
        spec: Some(NetworkPolicySpec {
            pod_selector: Some(meta::label_selector(identity.name)),
            policy_types: Some(vec!["Ingress".to_owned()]),
            ingress: Some(vec![
                NetworkPolicyIngressRule { from: Some(vec![nodes]), ports: Some(between_nodes) },
                NetworkPolicyIngressRule { from: None, ports: Some(ports(&channels::client_listeners(broker))) },
                NetworkPolicyIngressRule {
                    from: Some(namespaces.into_iter().map(namespace).collect()),
                    ports: Some(ports(&channels::operational_listeners(broker))),
                },
            ]),
            egress: None,
        }),
    }
}

fn namespace(name: &str) -> NetworkPolicyPeer {
    NetworkPolicyPeer {
        namespace_selector: Some(LabelSelector {
            match_labels: Some(BTreeMap::from([(NAMESPACE_NAME_LABEL.to_owned(), name.to_owned())])),
            match_expressions: None,
        }),
        ..NetworkPolicyPeer::default()
    }
}

fn ports(listeners: &[Listener]) -> Vec<NetworkPolicyPort> {
    listeners
        .iter()
        .map(|listener| NetworkPolicyPort {
            port: Some(IntOrString::Int(listener.port)),
            protocol: Some("TCP".to_owned()),
            end_port: None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::testing::broker;

    fn rules() -> Vec<NetworkPolicyIngressRule> {
        let main = broker("main", "messaging", |_| {});
        build(&main, names::identity(&main).unwrap(), "entente-system").spec.unwrap().ingress.unwrap()
    }

    fn numbers(rule: &NetworkPolicyIngressRule) -> Vec<IntOrString> {
        rule.ports.iter().flatten().filter_map(|port| port.port.clone()).collect()
    }

    #[test]
    fn distribution_is_for_the_nodes_alone() {
        let rules = rules();
        assert_eq!(numbers(&rules[0]), [4369, 25672, 35672].map(IntOrString::Int));
        let from = rules[0].from.as_ref().unwrap();
        assert_eq!(from.len(), 1);
        assert_eq!(from[0].pod_selector.as_ref().unwrap().match_labels, Some(meta::selector("main")));
        assert!(from[0].namespace_selector.is_none(), "pods of this namespace only");
        let elsewhere: Vec<IntOrString> = rules[1..].iter().flat_map(numbers).collect();
        assert!(!elsewhere.contains(&IntOrString::Int(25672)) && !elsewhere.contains(&IntOrString::Int(4369)));
    }

    #[test]
    fn amqp_is_open_and_the_http_api_is_not() {
        let rules = rules();
        assert_eq!((numbers(&rules[1]), rules[1].from.is_none()), (vec![IntOrString::Int(5671)], true));
        assert_eq!(numbers(&rules[2]), [15671, 15691].map(IntOrString::Int));
        let names: Vec<String> = rules[2]
            .from
            .iter()
            .flatten()
            .map(|peer| peer.namespace_selector.as_ref().unwrap().match_labels.as_ref().unwrap()[NAMESPACE_NAME_LABEL].clone())
            .collect();
        assert_eq!(names, ["entente-system", "messaging"]);
    }
}
