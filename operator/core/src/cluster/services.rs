//! The two Services: one for clients, one for the nodes' own names.

use entente_crds::Broker;
use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::channels::{self, Listener};
use super::names::{self, Identity};
use super::{meta, serving};

/// The Service that clients connect to: whichever nodes are ready, without those that do not answer, see [`super::serving`].
pub fn client(broker: &Broker, identity: Identity<'_>) -> Service {
    let mut listeners = channels::client_listeners(broker);
    listeners.extend(channels::operational_listeners(broker));
    let mut selector = meta::selector(identity.name);
    selector.extend(serving::label(true));
    Service {
        metadata: meta::owned(identity, names::client_service(identity.name)),
        spec: Some(ServiceSpec {
            type_: Some("ClusterIP".to_owned()),
            selector: Some(selector),
            ports: Some(service_ports(&listeners)),
            ..ServiceSpec::default()
        }),
        status: None,
    }
}

/// The headless Service: a DNS name for each node. Nodes must find each other before they are ready.
pub fn headless(broker: &Broker, identity: Identity<'_>) -> Service {
    let mut listeners = channels::INTERNAL_LISTENERS.to_vec();
    listeners.extend(channels::client_listeners(broker));
    listeners.extend(channels::operational_listeners(broker));
    Service {
        metadata: meta::owned(identity, names::headless_service(identity.name)),
        spec: Some(ServiceSpec {
            cluster_ip: Some("None".to_owned()),
            publish_not_ready_addresses: Some(true),
            selector: Some(meta::selector(identity.name)),
            ports: Some(service_ports(&listeners)),
            ..ServiceSpec::default()
        }),
        status: None,
    }
}

fn service_ports(listeners: &[Listener]) -> Vec<ServicePort> {
    listeners
        .iter()
        .map(|listener| ServicePort {
            name: Some(listener.name.to_owned()),
            port: listener.port,
            protocol: Some("TCP".to_owned()),
            target_port: Some(IntOrString::Int(listener.port)),
            ..ServicePort::default()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::testing::broker;

    fn ports(service: &Service) -> Vec<(String, i32)> {
        let ports = service.spec.as_ref().unwrap().ports.as_ref().unwrap();
        ports.iter().map(|port| (port.name.clone().unwrap(), port.port)).collect()
    }

    #[test]
    fn clients_see_ready_nodes_and_no_distribution_port() {
        let main = broker("main", "messaging", |_| {});
        let service = client(&main, names::identity(&main).unwrap());
        assert_eq!(service.metadata.name.as_deref(), Some("main"));
        assert_eq!(service.spec.as_ref().unwrap().publish_not_ready_addresses, None);
        let expected = [("amqps", 5671), ("management", 15671), ("prometheus", 15691)];
        assert_eq!(ports(&service), expected.map(|(name, port)| (name.to_owned(), port)));
        let selector = service.spec.unwrap().selector.unwrap();
        assert_eq!(selector.get("entente.dev/serving").map(String::as_str), Some("true"));
    }

    #[test]
    fn nodes_find_each_other_before_they_are_ready() {
        let main = broker("main", "messaging", |_| {});
        let spec = headless(&main, names::identity(&main).unwrap()).spec.unwrap();
        assert_eq!(spec.cluster_ip.as_deref(), Some("None"));
        assert_eq!(spec.publish_not_ready_addresses, Some(true));
        assert!(!spec.selector.unwrap().contains_key("entente.dev/serving"), "a node out of service keeps its name");
    }
}
