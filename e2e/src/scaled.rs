//! A Queue, real consumers that work on it, and how many of them there are.

use std::time::Duration;

use anyhow::{Context, Result};
use entente_crds::{Client, Queue};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::{ListParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use crate::object::{Objects, status};
use crate::scene::Scene;
use crate::wait::{seconds, until};

/// Name of the Queue and of the Deployment.
pub const WORK: &str = "work";

/// The consumers of one scene.
pub struct Consumers<'a> {
    scene: &'a Scene,
    /// The Deployment.
    pub deployments: Api<Deployment>,
    /// The Queue.
    pub queues: Objects<Queue>,
}

impl<'a> Consumers<'a> {
    /// Makes Queue, Client and Deployment, and waits until the Queue is Ready. Each consumer takes `delay` for a message.
    pub async fn begin(scene: &'a Scene, scaling: Value, delay: &str, replicas: u32) -> Result<Self> {
        let mut scaling = scaling;
        scaling["targetRef"] = json!({"name": WORK});
        let queues = Objects::<Queue>::of(&scene.cluster, &scene.namespace);
        queues.create_ready(WORK, json!({"deletionPolicy": "Delete", "scaling": scaling})).await?;
        let clients = Objects::<Client>::of(&scene.cluster, &scene.namespace);
        let access = json!([{"name": WORK, "queueRef": {"name": WORK}, "verbs": ["Receive"]}]);
        clients.create_ready("worker", json!({"access": access})).await?;
        let deployments: Api<Deployment> = Api::namespaced(scene.cluster.client.clone(), &scene.namespace);
        let deployment: Deployment = serde_json::from_value(consumers(WORK, delay, replicas))?;
        deployments.create(&PostParams::default(), &deployment).await?;
        Ok(Self { scene, deployments, queues })
    }

    /// Sends messages, and returns when the broker has accepted each.
    pub async fn send(&self, count: usize) -> Result<()> {
        crate::amqp::send(&self.scene.broker, &self.scene.namespace, WORK, count).await
    }

    /// Replicas that the Deployment should have.
    pub async fn replicas(&self) -> Result<i32> {
        self.deployments.get(WORK).await?.spec.and_then(|spec| spec.replicas).context("no number of replicas")
    }

    /// Replicas that are ready.
    pub async fn ready(&self) -> Result<i32> {
        Ok(self.deployments.get(WORK).await?.status.and_then(|status| status.ready_replicas).unwrap_or_default())
    }

    /// Waits until there should be as many replicas as the test says.
    pub async fn until(&self, what: &str, limit: Duration, is: impl Fn(i32) -> bool) -> Result<Duration> {
        let ask = async || {
            let replicas = self.replicas().await?;
            anyhow::ensure!(is(replicas), "{replicas} replicas; {}", self.told().await?);
            Ok(Some(()))
        };
        Ok(until(what, limit, ask).await?.1)
    }

    /// Waits until so many are ready.
    pub async fn until_ready(&self, count: i32) -> Result<Duration> {
        let ask = async || {
            let ready = self.ready().await?;
            anyhow::ensure!(ready >= count, "{ready} are ready");
            Ok(Some(()))
        };
        Ok(until(&format!("{count} consumers are ready"), seconds(90), ask).await?.1)
    }

    /// Those that are not on their way out, the oldest first.
    pub async fn pods(&self) -> Result<Vec<Pod>> {
        let pods = self.scene.cluster.pods(&self.scene.namespace);
        let mut all = pods.list(&ListParams::default().labels("app.kubernetes.io/name=worker")).await?.items;
        all.retain(|pod| pod.metadata.deletion_timestamp.is_none());
        all.sort_by_key(|pod| (pod.metadata.creation_timestamp.clone(), pod.metadata.name.clone()));
        Ok(all)
    }

    /// Sets the replicas by hand.
    pub async fn set(&self, replicas: i32) -> Result<()> {
        let patch = Patch::Merge(json!({"spec": {"replicas": replicas}}));
        self.deployments.patch(WORK, &PatchParams::default(), &patch).await?;
        Ok(())
    }

    /// What the Queue's status tells of scaling.
    pub async fn told(&self) -> Result<Value> {
        let mut told = status(&self.queues.api.get(WORK).await?)["scaling"].clone();
        // For machines, and long.
        if let Some(told) = told.as_object_mut() {
            told.remove("memory");
        }
        Ok(told)
    }

    /// Waits until the last decision that was told was held back by this.
    pub async fn held_back_by(&self, reason: &str) -> Result<Value> {
        let ask = async || {
            let told = self.told().await?;
            anyhow::ensure!(told["lastDecision"]["heldBack"] == reason, "{told}");
            Ok(Some(told))
        };
        Ok(until(&format!("held back by {reason}"), seconds(60), ask).await?.0)
    }
}

/// A Deployment of consumers of the Queue of its name, by the entry of that name of the Client `worker`. Each takes `delay` for a message.
pub fn consumers(name: &str, delay: &str, replicas: u32) -> Value {
    let labels = json!({"app.kubernetes.io/name": "worker", "entente.dev/e2e-queue": name});
    let container = json!({
        "name": "worker",
        "image": "localhost/entente-apps:dev",
        "imagePullPolicy": "IfNotPresent",
        // One at a time, so that whoever comes later finds work.
        "command": ["entente-apps", "consume", "--binding", "/bindings/broker", "--entry", name, "--delay", delay, "--credit", "1"],
        "volumeMounts": [{"name": "broker", "mountPath": "/bindings/broker", "readOnly": true}],
        "resources": {"requests": {"cpu": "1m", "memory": "8Mi"}, "limits": {"memory": "64Mi"}}
    });
    json!({
        "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            // One ReplicaSet each, and no history.
            "revisionHistoryLimit": 0,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {
                    "automountServiceAccountToken": false,
                    "terminationGracePeriodSeconds": 2,
                    "containers": [container],
                    "volumes": [{"name": "broker", "secret": {"secretName": "worker-binding"}}]
                }
            }
        }
    })
}
