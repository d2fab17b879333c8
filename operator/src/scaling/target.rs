//! The workload: what it has, and how many it is told to have.
//!
//! Only `/scale` is read and written, of whatever kind, and only in the object's own namespace (invariant I3).

use std::time::{Duration, Instant};

use entente_core::cluster::observation;
use entente_core::scaling::Target;
use entente_core::scaling::deletion::{COST, Candidate};
use entente_crds::scaling::TargetRef;
use k8s_openapi::api::autoscaling::v1::Scale;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind, ListParams, Patch, PatchParams};
use kube::{Client, Resource, ResourceExt, discovery};
use serde_json::json;

/// Other autoscalers are looked for so often.
const RIVALS_EVERY: Duration = Duration::from_secs(15);
/// Pods that should be there and are not even made, for so long, are refused by a quota or by admission.
const REFUSED_AFTER: Duration = Duration::from_secs(10);
/// How long one request may take; the keeper lowers nothing meanwhile.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Why a target cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum Unscaled {
    /// There is none.
    #[error("{0} does not exist in this namespace; create it, or mend scaling.targetRef")]
    Missing(String),
    /// The API server does not know the kind, or it cannot be scaled.
    #[error("{0} cannot be scaled: the API server knows no such kind, or it has no /scale")]
    NoScale(String),
    /// The operator may not.
    #[error("the operator may not scale {0}; name its group and resource in the chart's scaling.furtherTargets")]
    Forbidden(String),
    /// Somebody else wrote first; the next look tells what.
    #[error("somebody else changed {0} at the same moment")]
    Conflict(String),
    /// Anything else.
    #[error("the API server did not answer for {0}: {1}")]
    Api(String, String),
}

/// What was last seen of a target.
#[derive(Clone, Debug)]
pub struct SeenTarget {
    /// For the decision.
    pub target: Target,
    /// When.
    pub at: Instant,
    /// Its pods of which Kubernetes lets those of the lowest cost go first.
    pub candidates: Vec<Candidate>,
    version: Option<String>,
}

/// One target.
pub struct TargetWatch {
    client: Client,
    namespace: String,
    reference: TargetRef,
    resource: Option<ApiResource>,
    /// Another autoscaler, when looked last.
    rival: Option<(Instant, bool)>,
    /// Since when fewer pods are there than asked for.
    short_since: Option<Instant>,
}

impl TargetWatch {
    /// Nothing is asked yet.
    pub fn new(client: Client, namespace: String, reference: TargetRef) -> Self {
        Self { client, namespace, reference, resource: None, rival: None, short_since: None }
    }

    fn text(&self) -> String {
        format!("{}/{}", self.reference.kind, self.reference.name)
    }

    /// Looks.
    pub async fn look(&mut self) -> Result<SeenTarget, Unscaled> {
        let scale = self.scale().await?;
        let spec = count(scale.spec.as_ref().and_then(|spec| spec.replicas));
        let status = scale.status.unwrap_or_default();
        let pods = match status.selector.as_deref().filter(|selector| !selector.is_empty()) {
            Some(selector) => self.pods(selector).await?,
            None => Vec::new(),
        };
        let other_scaler = self.other_scaler().await;
        let present = count(Some(status.replicas));
        let short = present < spec;
        self.short_since = if short { self.short_since.or_else(|| Some(Instant::now())) } else { None };
        let target = Target {
            spec_replicas: spec,
            ready_replicas: number(pods.iter().filter(|pod| is_ready(pod)).count()),
            unschedulable: number(pods.iter().filter(|pod| is_unschedulable(pod)).count()),
            quota_exceeded: self.short_since.is_some_and(|since| since.elapsed() >= REFUSED_AFTER),
            other_scaler,
        };
        let candidates = pods.iter().filter_map(candidate).collect();
        Ok(SeenTarget { target, at: Instant::now(), candidates, version: scale.metadata.resource_version })
    }

    /// Writes the number of replicas, if nobody else has written since it was seen.
    pub async fn write(&mut self, seen: &SeenTarget, replicas: u32) -> Result<(), Unscaled> {
        let api = self.api().await?;
        let patch = Patch::Merge(json!({"metadata": {"resourceVersion": seen.version}, "spec": {"replicas": replicas}}));
        let params = PatchParams::default();
        self.bounded(api.patch_scale(&self.reference.name, &params, &patch)).await.map(drop)
    }

    async fn scale(&mut self) -> Result<Scale, Unscaled> {
        let api = self.api().await?;
        self.bounded(api.get_scale(&self.reference.name)).await
    }

    async fn api(&mut self) -> Result<Api<DynamicObject>, Unscaled> {
        let resource = if let Some(resource) = &self.resource {
            resource.clone()
        } else {
            let resource = self.resolve().await?;
            self.resource.insert(resource).clone()
        };
        Ok(Api::namespaced_with(self.client.clone(), &self.namespace, &resource))
    }

    async fn resolve(&self) -> Result<ApiResource, Unscaled> {
        let TargetRef { api_version, kind, name: _ } = &self.reference;
        let (group, version) = api_version.rsplit_once('/').unwrap_or(("", api_version));
        let kind = GroupVersionKind::gvk(group, version, kind);
        // Known without asking: nothing to wait for at three in the morning.
        let plural = match (group, kind.kind.as_str()) {
            ("apps", "Deployment") => Some("deployments"),
            ("apps", "StatefulSet") => Some("statefulsets"),
            ("apps", "ReplicaSet") => Some("replicasets"),
            _ => None,
        };
        if let Some(plural) = plural {
            return Ok(ApiResource::from_gvk_with_plural(&kind, plural));
        }
        match tokio::time::timeout(TIMEOUT, discovery::pinned_kind(&self.client, &kind)).await {
            Ok(Ok((resource, capabilities))) if capabilities.scope == discovery::Scope::Namespaced => Ok(resource),
            Ok(Err(kube::Error::Api(status))) if status.code != 404 => Err(Unscaled::Api(self.text(), status.message.clone())),
            Ok(Ok(_) | Err(kube::Error::Api(_) | kube::Error::Discovery(_))) => Err(Unscaled::NoScale(self.text())),
            Ok(Err(error)) => Err(Unscaled::Api(self.text(), error.to_string())),
            Err(_) => Err(Unscaled::Api(self.text(), "no answer".to_owned())),
        }
    }

    async fn pods(&self, selector: &str) -> Result<Vec<Pod>, Unscaled> {
        let api: Api<Pod> = Api::namespaced(self.client.clone(), &self.namespace);
        let params = ListParams::default().labels(selector);
        Ok(self.bounded(api.list(&params)).await?.items)
    }

    /// Whether a HorizontalPodAutoscaler has the same target. KEDA makes one for each of its own.
    async fn other_scaler(&mut self) -> bool {
        if let Some((at, rival)) = self.rival
            && at.elapsed() < RIVALS_EVERY
        {
            return rival;
        }
        let api: Api<HorizontalPodAutoscaler> = Api::namespaced(self.client.clone(), &self.namespace);
        let there = match self.bounded(api.list(&ListParams::default())).await {
            Ok(all) => all.items.iter().any(|hpa| {
                hpa.spec.as_ref().is_some_and(|spec| {
                    spec.scale_target_ref.kind == self.reference.kind && spec.scale_target_ref.name == self.reference.name
                })
            }),
            // Not known: as it was.
            Err(_) => self.rival.is_some_and(|(_, rival)| rival),
        };
        self.rival = Some((Instant::now(), there));
        there
    }

    async fn bounded<T>(&self, request: impl Future<Output = kube::Result<T>>) -> Result<T, Unscaled> {
        match tokio::time::timeout(TIMEOUT, request).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(kube::Error::Api(status))) => Err(match status.code {
                404 => Unscaled::Missing(self.text()),
                403 => Unscaled::Forbidden(self.text()),
                405 => Unscaled::NoScale(self.text()),
                409 => Unscaled::Conflict(self.text()),
                _ => Unscaled::Api(self.text(), status.message.clone()),
            }),
            Ok(Err(error)) => Err(Unscaled::Api(self.text(), error.to_string())),
            Err(_) => Err(Unscaled::Api(self.text(), "no answer".to_owned())),
        }
    }
}

fn count(replicas: Option<i32>) -> u32 {
    replicas.and_then(|replicas| u32::try_from(replicas).ok()).unwrap_or_default()
}

fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

fn condition<'a>(pod: &'a Pod, type_: &str) -> Option<&'a k8s_openapi::api::core::v1::PodCondition> {
    pod.status.as_ref()?.conditions.as_ref()?.iter().find(|condition| condition.type_ == type_)
}

fn is_ready(pod: &Pod) -> bool {
    pod.meta().deletion_timestamp.is_none() && observation::is_ready(pod)
}

/// ReplicaSets alone, those of Deployments among them, choose by cost: a StatefulSet lets its last pod go.
fn candidate(pod: &Pod) -> Option<Candidate> {
    let owner = pod.owner_references().iter().find(|owner| owner.controller == Some(true))?;
    if owner.kind != "ReplicaSet" || pod.meta().deletion_timestamp.is_some() {
        return None;
    }
    let status = pod.status.as_ref();
    let many = status.and_then(|status| status.pod_ips.as_ref()).into_iter().flatten().map(|one| one.ip.as_str());
    let hosts = many.chain(status.and_then(|status| status.pod_ip.as_deref())).filter_map(|ip| ip.parse().ok()).collect();
    Some(Candidate {
        name: pod.name_any(),
        uid: pod.uid()?,
        hosts,
        is_ready: observation::is_ready(pod),
        created: pod.creation_timestamp().map(|time| time.0),
        cost: pod.annotations().get(COST).cloned(),
    })
}

fn is_unschedulable(pod: &Pod) -> bool {
    pod.meta().deletion_timestamp.is_none()
        && condition(pod, "PodScheduled")
            .is_some_and(|condition| condition.status == "False" && condition.reason.as_deref() == Some("Unschedulable"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(owner: &str) -> Pod {
        serde_json::from_value(json!({
            "metadata": {"name": "worker-1", "uid": "u", "creationTimestamp": "2026-01-01T00:00:00Z", "annotations": {COST: "5"},
                "ownerReferences": [{"apiVersion": "apps/v1", "kind": owner, "name": "worker", "uid": "o", "controller": true}]},
            "status": {"podIP": "10.0.0.1", "podIPs": [{"ip": "10.0.0.1"}, {"ip": "fd00::1"}], "conditions": [{"type": "Ready", "status": "True"}]},
        }))
        .unwrap()
    }

    #[test]
    fn pods_of_replica_sets_can_be_told_who_goes_first_and_others_cannot() {
        let found = candidate(&pod("ReplicaSet")).unwrap();
        assert!(found.is_ready && found.hosts.contains(&"fd00::1".parse().unwrap()) && found.cost.as_deref() == Some("5"));
        assert_eq!(candidate(&pod("StatefulSet")), None);
        let mut leaving = pod("ReplicaSet");
        leaving.metadata.deletion_timestamp = leaving.metadata.creation_timestamp.clone();
        assert_eq!(candidate(&leaving), None);
    }
}
