//! Before replicas are lowered: the pods that hold no messages are told to go first.
//!
//! - Asked only at a scale-down that leaves somebody, and only where messages are unacknowledged: the connections from the target's own
//!   pods, once. Written: an annotation of the pods that are to go, which take it with them.
//! - Help, not a condition: what cannot be found out or written within [`LIMIT`] is left to Kubernetes, and the scale-down goes on.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use entente_core::scaling::deletion::{COST, Candidate, Change, LOWEST, changes};
use futures::{StreamExt, stream};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, Patch, PatchParams};
use kube::{Client, ResourceExt};
use serde_json::json;

use super::subject::Subject;
use crate::links::Link;
use crate::metrics::Kind;
use crate::objects::Shared;

/// A scale-down waits no longer.
const LIMIT: Duration = Duration::from_secs(1);
/// Pods that are annotated at once. A namespace's lane takes no more.
const AT_ONCE: usize = 8;

/// Namespaces in which pods may be annotated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Annotated(BTreeSet<String>);

impl Annotated {
    /// From a list as the command line has it: `*` stands for every one. Of none, none.
    pub fn parse(names: &[String]) -> Self {
        Self(names.iter().map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()).collect())
    }

    /// Whether a namespace is among them.
    pub fn covers(&self, namespace: &str) -> bool {
        self.0.contains("*") || self.0.contains(namespace)
    }
}

/// What it takes to say who goes first.
pub struct Costs {
    shared: Arc<Shared>,
    may: bool,
}

impl Costs {
    /// `may`: whether the operator has the right to.
    pub fn new(shared: Arc<Shared>, may: bool) -> Self {
        Self { shared, may }
    }

    /// Prepares for so many replicas. Whatever comes of it, the scale-down goes on.
    pub async fn prepare(&self, subject: &Subject, pods: &[Candidate], replicas: u32) {
        let stay = usize::try_from(replicas).unwrap_or(usize::MAX);
        if !self.may || stay == 0 || pods.len() <= stay {
            return;
        }
        let Some(link) = self.link(subject).await else { return };
        let work = async {
            let wanted = wanted(&link, subject, pods, stay).await?;
            let _pass = self.shared.lanes.enter(&subject.namespace).await;
            let count = u64::try_from(wanted.len()).unwrap_or_default();
            self.shared.metrics.api_writes.get_or_create(&Kind { kind: "Pod" }).inc_by(count);
            write(&self.shared.client, &subject.namespace, wanted).await
        };
        let (namespace, target) = (&subject.namespace, subject.target_text());
        match tokio::time::timeout(LIMIT, work).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::warn!(error, namespace, target, "Kubernetes chooses which pods go");
            }
            Err(_) => tracing::warn!(namespace, target, "no time to say which pods go first: Kubernetes chooses"),
        }
    }

    async fn link(&self, subject: &Subject) -> Option<Arc<Link>> {
        let brokers = self.shared.brokers.state();
        let broker = brokers.iter().find(|broker| broker.uid().as_deref() == Some(&subject.broker_uid))?;
        // There is one already, in all but the first seconds of a leader.
        tokio::time::timeout(LIMIT / 4, self.shared.links.get(broker)).await.ok()?.ok()
    }
}

async fn wanted(link: &Link, subject: &Subject, pods: &[Candidate], stay: usize) -> Result<Vec<Change>, String> {
    let hosts: BTreeSet<IpAddr> = pods.iter().flat_map(|pod| pod.hosts.iter().copied()).collect();
    let connected = link.read(|admin| admin.read_connected(&subject.virtual_host, &hosts)).await;
    Ok(changes(pods, &connected.map_err(|error| error.to_string())?, &subject.queues, stay))
}

/// Fails with the first failure, after all were tried.
async fn write(client: &Client, namespace: &str, wanted: Vec<Change>) -> Result<(), String> {
    let api: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let written = stream::iter(wanted).map(|change| annotate(api.clone(), change)).buffer_unordered(AT_ONCE);
    let outcomes: Vec<Result<(), String>> = written.collect().await;
    outcomes.into_iter().collect()
}

/// A pod that is gone by now, or another one, needs nothing.
async fn annotate(api: Api<Pod>, Change { pod, uid, goes }: Change) -> Result<(), String> {
    let patch = json!({"metadata": {"uid": uid, "annotations": {COST: goes.then_some(LOWEST)}}});
    match api.patch_metadata(&pod, &PatchParams::default(), &Patch::Merge(patch)).await {
        Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(()),
        other => other.map(drop).map_err(|error| error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use entente_broker::admin::{AdminError, BrokerAdmin};
    use entente_broker_fake::FakeBroker;
    use entente_core::scaling::deletion::Connected;

    use super::super::subject::testing::subject;
    use super::*;
    use crate::broker::testing::FakeApi;
    use crate::links::wakers::Wakers;
    use crate::metrics::Metrics;

    const PODS: &str = "/api/v1/namespaces/shop/pods";

    fn host(number: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, number])
    }

    fn pod(number: u8) -> Candidate {
        Candidate {
            name: format!("pod-{number}"),
            uid: format!("uid-{number}"),
            hosts: vec![host(number)],
            is_ready: true,
            created: None,
            cost: None,
        }
    }

    /// Two consumers of the queue `work`, of which the first holds a message.
    fn scene() -> (FakeApi, Arc<FakeBroker>, Link) {
        let api = FakeApi::default();
        for number in [1, 2] {
            api.put(
                &format!("{PODS}/pod-{number}"),
                json!({"metadata": {"name": format!("pod-{number}"), "uid": format!("uid-{number}")}}),
            );
        }
        let broker = Arc::new(FakeBroker::default());
        let one = |number, held| Connected { host: host(number), queues: vec!["work".to_owned()], unsettled: Some(held) };
        broker.connect(vec![one(1, 1), one(2, 0), one(9, 5)]);
        let admin: Arc<dyn BrokerAdmin> = broker.clone();
        let link = Link::new("a/main".into(), "u".into(), admin, Wakers::new().0, Metrics::default());
        (api, broker, link)
    }

    #[tokio::test]
    async fn the_idle_one_is_told_to_go_first_and_the_other_is_left_alone() {
        let (api, _, link) = scene();
        let changes = wanted(&link, &subject("work"), &[pod(1), pod(2)], 1).await.unwrap();
        write(&api.client(), "shop", changes.clone()).await.unwrap();
        assert_eq!(api.get(&format!("{PODS}/pod-2")).unwrap()["metadata"]["annotations"][COST], LOWEST);
        assert_eq!(api.take_writes(), [format!("PATCH {PODS}/pod-2")]);
    }

    #[tokio::test]
    async fn i6_what_is_said_already_is_not_said_again() {
        let (_, _, link) = scene();
        let marked = Candidate { cost: Some(LOWEST.to_owned()), ..pod(2) };
        assert_eq!(wanted(&link, &subject("work"), &[pod(1), marked], 1).await, Ok(Vec::new()));
    }

    #[tokio::test]
    async fn a_pod_that_is_another_one_by_now_is_left_alone() {
        let (api, _, link) = scene();
        api.put(&format!("{PODS}/pod-2"), json!({"metadata": {"name": "pod-2", "uid": "another"}}));
        let changes = wanted(&link, &subject("work"), &[pod(1), pod(2)], 1).await.unwrap();
        write(&api.client(), "shop", changes.clone()).await.unwrap();
        assert!(api.get(&format!("{PODS}/pod-2")).unwrap()["metadata"]["annotations"].is_null());
        api.remove(&format!("{PODS}/pod-2"));
        assert_eq!(write(&api.client(), "shop", changes).await, Ok(()));
    }

    #[tokio::test]
    async fn a_broker_or_an_api_server_that_refuses_is_told_as_a_failure() {
        let (api, broker, link) = scene();
        let changes = wanted(&link, &subject("work"), &[pod(1), pod(2)], 1).await.unwrap();
        api.refuse("/pod-2", 403, "no");
        assert!(write(&api.client(), "shop", changes).await.unwrap_err().contains("no"));
        broker.fail_with(Some(AdminError::Unreachable("gone".into())));
        assert!(wanted(&link, &subject("work"), &[pod(1), pod(2)], 1).await.is_err());
    }

    #[test]
    fn pods_are_annotated_nowhere_unless_it_is_said_where() {
        let parse = |names: &[&str]| Annotated::parse(&names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
        assert!(!parse(&[]).covers("shop") && !parse(&[""]).covers("shop"));
        assert!(parse(&["shop", " bar"]).covers("bar") && !parse(&["shop"]).covers("bar"));
        assert!(parse(&["*"]).covers("shop"));
    }
}
