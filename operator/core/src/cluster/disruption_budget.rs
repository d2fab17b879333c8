//! The `PodDisruptionBudget`: how many nodes voluntary work may take down at once.

use entente_crds::Broker;
use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::meta;
use super::names::{self, Identity};

/// Builds the budget.
pub fn build(broker: &Broker, identity: Identity<'_>) -> PodDisruptionBudget {
    PodDisruptionBudget {
        metadata: meta::owned(identity, names::disruption_budget(identity.name)),
        spec: Some(PodDisruptionBudgetSpec {
            max_unavailable: Some(IntOrString::Int(max_unavailable(broker))),
            selector: Some(meta::label_selector(identity.name)),
            // A node that is not ready may be moved: it holds nothing up, and counts as down already.
            unhealthy_pod_eviction_policy: Some("AlwaysAllow".to_owned()),
            ..PodDisruptionBudgetSpec::default()
        }),
        status: None,
    }
}

/// As declared, and never more than a minority. A single node has no quorum to protect: it may be
/// moved as `spec.disruption` says, or a machine could never be drained.
pub fn max_unavailable(broker: &Broker) -> i32 {
    let minority = if broker.spec.replicas == 1 { 1 } else { (broker.spec.replicas - 1) / 2 };
    broker.spec.disruption.max_unavailable.clamp(0, minority)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::testing::broker;

    #[test]
    fn never_more_than_a_minority() {
        for (replicas, declared, allowed) in [(3, 1, 1), (3, 2, 1), (3, 0, 0), (5, 2, 2), (5, 1, 1), (1, 1, 1), (1, 0, 0)] {
            let main = broker("main", "messaging", |spec| {
                spec.replicas = replicas;
                spec.disruption.max_unavailable = declared;
            });
            assert_eq!(max_unavailable(&main), allowed, "{declared} of {replicas}");
            let budget = build(&main, names::identity(&main).unwrap());
            assert_eq!(budget.spec.unwrap().max_unavailable, Some(IntOrString::Int(allowed)));
        }
    }
}
