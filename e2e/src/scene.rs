//! A namespace of a test's own on the default Broker, which goes when the test ends, however it ends.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use entente_broker::admin::BrokerAdmin;
use entente_crds::Queue;
use futures::{StreamExt, TryStreamExt, stream};
use k8s_openapi::api::core::v1::Namespace;
use kube::Api;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use crate::broker::BrokerAccess;
use crate::cluster::{Cluster, SYSTEM};
use crate::leaving;
use crate::queue::{is_ready, is_refused, queue};
use crate::wait::{holds, seconds, until};

/// How many requests run at once where many are made.
const AT_ONCE: usize = 16;

/// What a test works with.
pub struct Scene {
    /// Kubernetes.
    pub cluster: Cluster,
    /// The Broker `main`.
    pub broker: BrokerAccess,
    /// The test's namespace, and so its virtual host.
    pub namespace: String,
}

/// Runs a test in a namespace of its own. That the namespace can be removed afterwards is part of every test, though others go on meanwhile.
pub async fn scene(label: &str, test: impl AsyncFnOnce(&Scene) -> Result<()>) -> Result<()> {
    let scene = Scene::begin(label).await?;
    let begun = Instant::now();
    let outcome = test(&scene).await;
    let (took, ended) = (begun.elapsed(), Instant::now());
    let end = scene.end().await;
    println!("{label}: {:.1} s, and {:.1} s to clean up", took.as_secs_f64(), ended.elapsed().as_secs_f64());
    outcome.and(end)
}

impl Scene {
    /// Makes the namespace.
    pub async fn begin(label: &str) -> Result<Self> {
        let cluster = Cluster::connect().await?;
        let broker = BrokerAccess::of(&cluster, SYSTEM, "main").await.context("the Broker main: make install brings it")?;
        leaving::sweep(&cluster, &broker).await?;
        let unique = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis() % 100_000_000;
        let namespace = format!("{}{label}-{unique}", leaving::PREFIX);
        let object: Namespace =
            serde_json::from_value(json!({"metadata": {"name": namespace, "labels": {"entente.dev/e2e": "true"}}}))?;
        cluster.namespaces().create(&PostParams::default(), &object).await?;
        Ok(Self { cluster, broker, namespace })
    }

    /// Lets namespace and virtual host go.
    pub async fn end(self) -> Result<()> {
        self.let_go::<entente_crds::Subscription>().await?;
        self.let_go::<entente_crds::Topic>().await?;
        for left in self.queues().list(&ListParams::default()).await? {
            let name = left.metadata.name.unwrap_or_default();
            // It may go at this very moment.
            let _ = self.patch(&name, json!({"metadata": {"annotations": null}, "spec": {"deletionPolicy": "Delete"}})).await;
        }
        let namespaces = self.cluster.namespaces();
        if namespaces.get_opt(&self.namespace).await?.is_some() {
            namespaces.delete(&self.namespace, &DeleteParams::default()).await?;
        }
        leaving::let_go(&self.cluster, &self.broker, self.namespace).await
    }

    /// Waits until nothing of earlier scenes is left.
    pub async fn is_alone(&self) -> Result<()> {
        leaving::all_gone(&self.cluster, &self.broker).await
    }

    /// Whatever is left of a kind may go with all its messages.
    async fn let_go<K: crate::object::Kind>(&self) -> Result<()> {
        let objects = crate::object::Objects::<K>::of(&self.cluster, &self.namespace);
        for name in objects.names().await? {
            // It may go at this very moment.
            let _ = objects.patch(&name, json!({"metadata": {"annotations": null}, "spec": {"deletionPolicy": "Delete"}})).await;
        }
        Ok(())
    }

    /// Leaves the namespace out of admission, for what only the controllers are to judge.
    pub async fn without_admission(&self) -> Result<()> {
        let label = Patch::Merge(json!({"metadata": {"labels": {"entente.dev/admission": "ignore"}}}));
        self.cluster.namespaces().patch(&self.namespace, &PatchParams::default(), &label).await?;
        // The API server hears of its own namespaces by a watch.
        tokio::time::sleep(Duration::from_millis(500)).await;
        Ok(())
    }

    /// Waits until the namespace is gone.
    pub async fn namespace_gone(&self, limit: Duration) -> Result<Duration> {
        leaving::gone(&self.cluster, &self.namespace, limit).await
    }

    /// Queues of the namespace.
    pub fn queues(&self) -> Api<Queue> {
        self.cluster.queues(&self.namespace)
    }

    /// Makes a Queue.
    pub async fn create(&self, name: &str, spec: Value) -> Result<Queue> {
        Ok(self.queues().create(&PostParams::default(), &queue(name, spec)?).await?)
    }

    /// Makes a Queue and waits until it is Ready.
    pub async fn create_ready(&self, name: &str, spec: Value) -> Result<Queue> {
        self.create(name, spec).await?;
        self.ready(name, seconds(30)).await
    }

    /// Makes many Queues of one spec, named `<prefix>0`, `<prefix>1`, …
    pub async fn create_many(&self, prefix: &str, count: usize, spec: &Value) -> Result<()> {
        stream::iter(0..count)
            .map(|number| self.create_owned(format!("{prefix}{number}"), spec.clone()))
            .buffer_unordered(AT_ONCE)
            .try_for_each(|()| async { Ok(()) })
            .await
    }

    async fn create_owned(&self, name: String, spec: Value) -> Result<()> {
        self.create(&name, spec).await.map(drop)
    }

    /// Deletes all Queues of the namespace and waits until they are gone.
    pub async fn delete_all(&self, limit: Duration) -> Result<()> {
        self.queues().delete_collection(&DeleteParams::default(), &ListParams::default()).await?;
        let queues = self.queues();
        holds("all Queues are gone", limit, async || Ok(queues.list(&ListParams::default()).await?.items.is_empty()))
            .await
            .map(drop)
    }

    /// Changes a Queue by a merge patch.
    pub async fn patch(&self, name: &str, patch: Value) -> Result<Queue> {
        Ok(self.queues().patch(name, &PatchParams::default(), &Patch::Merge(patch)).await?)
    }

    /// Deletes a Queue without waiting.
    pub async fn delete(&self, name: &str) -> Result<()> {
        self.queues().delete(name, &DeleteParams::default()).await?;
        Ok(())
    }

    /// Waits until a Queue is gone.
    pub async fn gone(&self, name: &str, limit: Duration) -> Result<Duration> {
        let queues = self.queues();
        holds(&format!("Queue {name} is gone"), limit, async || Ok(queues.get_opt(name).await?.is_none())).await
    }

    /// Waits until a Queue is Ready.
    pub async fn ready(&self, name: &str, limit: Duration) -> Result<Queue> {
        self.queue_when(name, "is Ready", limit, is_ready).await
    }

    /// Waits until a Queue is not Ready, for this reason.
    pub async fn refused(&self, name: &str, reason: &str) -> Result<Queue> {
        self.queue_when(name, &format!("is not Ready: {reason}"), seconds(20), |queue| is_refused(queue, reason)).await
    }

    /// Waits until a Queue is as the test says.
    pub async fn queue_when(&self, name: &str, what: &str, limit: Duration, is: impl Fn(&Queue) -> bool) -> Result<Queue> {
        let queues = self.queues();
        let ask = async || {
            let queue = queues.get(name).await?;
            anyhow::ensure!(is(&queue), "its status is {}", serde_json::to_string(&queue.status)?);
            Ok(Some(queue))
        };
        Ok(until(&format!("Queue {name} {what}"), limit, ask).await?.0)
    }

    /// Waits until every Queue of the namespace is Ready.
    pub async fn all_ready(&self, limit: Duration) -> Result<Duration> {
        let queues = self.queues();
        holds("every Queue is Ready", limit, async || {
            let all = queues.list(&ListParams::default()).await?;
            let waiting: Vec<_> =
                all.iter().filter(|queue| !is_ready(queue)).filter_map(|queue| queue.metadata.name.as_deref()).collect();
            if let Some(first) = waiting.first() {
                // A list costs the API server by its length: asking without a pause would slow down what is waited for.
                tokio::time::sleep(Duration::from_millis(2) * u32::try_from(all.items.len())?).await;
                anyhow::bail!("{} of {} are not, such as {first}", waiting.len(), all.items.len());
            }
            Ok(true)
        })
        .await
    }

    /// Messages in a queue, as the broker counts them now.
    pub async fn messages(&self, queue: &str) -> Result<Option<i64>> {
        let queues = self.broker.admin.read_queues(&self.namespace).await?;
        let Some(counts) = queues.get(queue).and_then(|queue| queue.counts) else { return Ok(None) };
        Ok(Some(counts.messages()))
    }
}
