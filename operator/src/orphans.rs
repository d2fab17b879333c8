//! The virtual hosts of a Broker: those whose namespace is gone are marked, told in the Broker's status, and deleted when their
//! time is over; of the others it is told what they take.

mod removal;

use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use entente_broker::admin::BrokerAdmin;
use entente_core::conditions::whole_second;
use entente_core::orphans::{Listed, Step, decide, mark, next_due};
use entente_core::quota::{Used, used};
use entente_core::topology::foundation::{owner_tag, virtual_host};
use entente_core::topology::plan::{Action, Plan};
use entente_crds::Broker;
use entente_crds::broker::{NamespaceUse, Orphan};
use futures::{Stream, StreamExt};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::api::{Api, ListParams, Patch, PatchParams};
use kube::{Client, ResourceExt};
use serde_json::json;

use crate::links::{Link, Links};

/// A namespace that goes causes several changes, and its virtual host is not urgent.
const SETTLE: Duration = Duration::from_secs(2);
/// Wait after a look that failed.
const RETRY: Duration = Duration::from_secs(5);
/// Wait while one that is large is being deleted.
const GO_ON: Duration = Duration::from_secs(1);
/// Namespaces that a Broker's status speaks of.
const TOLD: usize = 200;

/// What it works with.
pub struct Keeper {
    /// The Kubernetes API.
    pub client: Client,
    /// Every Broker.
    pub brokers: kube::runtime::reflector::Store<Broker>,
    /// Brokers that can be asked.
    pub links: Arc<Links>,
    /// Time between two looks where nothing changed.
    pub every: Duration,
}

impl Keeper {
    /// Looks now and then, and when namespaces or Brokers change. Ends with the changes.
    pub async fn run(self, changes: impl Stream<Item = ()>) {
        let mut changes = pin!(changes);
        loop {
            let mut next = self.every;
            for broker in self.brokers.state() {
                if broker.metadata.deletion_timestamp.is_some() {
                    continue;
                }
                match self.look(&broker).await {
                    Ok(due) => next = next.min(due.unwrap_or(next)),
                    Err(error) => {
                        tracing::debug!(broker = broker.name_any(), %error, "orphans not looked at; tried again");
                        next = next.min(RETRY);
                    }
                }
            }
            match tokio::time::timeout(next, changes.next()).await {
                Ok(None) => return,
                Ok(Some(())) => tokio::time::sleep(SETTLE).await,
                Err(_) => {}
            }
        }
    }

    /// Returns when the first one's time will be over.
    async fn look(&self, broker: &Broker) -> anyhow::Result<Option<Duration>> {
        let link = self.links.get(broker).await?;
        let hosts = link.read(BrokerAdmin::virtual_hosts).await?;
        // Asked for, and not taken from what is watched: a watch that lags behind would make orphans. After the virtual
        // hosts, so that one that was just made for a new namespace finds it.
        let namespaces = self.namespaces().await?;
        let retention = broker.spec.orphan_retention.as_millis()?;
        let mut orphans = Vec::new();
        let now = Timestamp::now();
        let steps = decide(&hosts, &link.uid, &namespaces, retention, now);
        let mut due = next_due(&steps, retention, now).map(Duration::from_millis);
        for (name, step) in steps {
            match step {
                Step::Restore => {
                    put_tags(&link, &name, None).await?;
                    tracing::info!(
                        broker = link.key,
                        virtual_host = name,
                        "its namespace is there again; it is no orphan any more"
                    );
                }
                Step::Mark => {
                    put_tags(&link, &name, Some(mark(now))).await?;
                    tracing::info!(
                        broker = link.key,
                        virtual_host = name,
                        "its namespace is gone; it is kept for spec.orphanRetention"
                    );
                    orphans.extend(describe(&link, broker, &name, now).await?);
                }
                Step::Keep(since) => orphans.extend(describe(&link, broker, &name, since).await?),
                Step::Delete => {
                    if !removal::remove(&link, &name).await? {
                        due = Some(due.unwrap_or(GO_ON).min(GO_ON));
                        continue;
                    }
                    tracing::info!(
                        broker = link.key,
                        virtual_host = name,
                        "an orphan's time was over; it was deleted with its messages"
                    );
                }
            }
        }
        self.tell(broker, orphans, uses(&link, broker, &hosts)).await?;
        Ok(due)
    }

    async fn namespaces(&self) -> Result<BTreeSet<String>, kube::Error> {
        let all = Api::<Namespace>::all(self.client.clone()).list_metadata(&ListParams::default()).await?;
        Ok(all.iter().map(ResourceExt::name_any).collect())
    }

    async fn tell(&self, broker: &Broker, orphans: Vec<Orphan>, namespaces: Vec<NamespaceUse>) -> anyhow::Result<()> {
        let told = broker.status.as_ref().map(|status| (&status.orphans, &status.namespaces));
        if told.map_or(orphans.is_empty() && namespaces.is_empty(), |told| told == (&orphans, &namespaces)) {
            return Ok(());
        }
        let api: Api<Broker> = Api::namespaced(self.client.clone(), &broker.namespace().unwrap_or_default());
        let patch = json!({"metadata": {"uid": broker.uid()}, "status": {"orphans": orphans, "namespaces": namespaces}});
        api.patch_status(&broker.name_any(), &PatchParams::default(), &Patch::Merge(patch)).await?;
        Ok(())
    }
}

/// What each namespace takes. Of one whose virtual host was not read yet, the last word stays (invariant I5): none is zero
/// because this process has just begun.
fn uses(link: &Link, broker: &Broker, hosts: &[Listed]) -> Vec<NamespaceUse> {
    let told = broker.status.iter().flat_map(|status| &status.namespaces);
    let told: BTreeMap<&str, &NamespaceUse> = told.map(|told| (told.name.as_str(), told)).collect();
    let owner = owner_tag(&link.uid);
    let seen: BTreeMap<String, Used> =
        link.hosts().iter().filter_map(|host| Some((host.name.clone(), host.look(|seen| seen.map(used))?))).collect();
    let number = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
    let mut all: Vec<NamespaceUse> = hosts
        .iter()
        .filter(|host| host.tags.contains(&owner))
        .filter_map(|Listed { name, tags: _ }| match seen.get(name) {
            Some(Used { queues, bytes, unbounded }) => Some(NamespaceUse {
                name: name.clone(),
                queues: number(*queues),
                bytes: number(*bytes),
                unbounded_queues: number(*unbounded),
            }),
            None => told.get(name.as_str()).map(|told| (*told).clone()),
        })
        .collect();
    all.sort_by(|a, b| a.name.cmp(&b.name));
    all.truncate(TOLD);
    all
}

/// Writes the tags of a virtual host of ours anew, with a mark or without any.
async fn put_tags(link: &Link, name: &str, mark: Option<String>) -> anyhow::Result<()> {
    let mut host = virtual_host(name, &link.uid);
    host.tags.extend(mark);
    link.run(&link.host(name), &Plan::of(Action::CreateVirtualHost(host))).await?;
    Ok(())
}

/// What status says of an orphan. Nothing reads it any more but this, so that its figures are read here.
async fn describe(link: &Link, broker: &Broker, name: &str, since: Timestamp) -> anyhow::Result<Option<Orphan>> {
    // Nobody asks for its objects; its host need not be read again and again.
    link.forget_host(name);
    let queues = link.read(|admin| admin.read_queues(name)).await?;
    let known: BTreeMap<&str, &Orphan> =
        broker.status.iter().flat_map(|status| &status.orphans).map(|orphan| (orphan.virtual_host.as_str(), orphan)).collect();
    let messages = queues.values().map(|queue| queue.counts.map(entente_core::topology::observed::Counts::messages)).sum();
    Ok(Some(Orphan {
        virtual_host: name.to_owned(),
        queues: i64::try_from(queues.len())?,
        // What is not known is not zero (invariant I5): the last known number stays.
        messages: Option::or(messages, known.get(name).and_then(|orphan| orphan.messages)),
        since: Time(whole_second(since)),
    }))
}
