//! The examples, as people apply them. Their namespaces have fixed names: what is in them goes before and after.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use entente_broker::admin::BrokerAdmin;
use entente_e2e::amqp::drain;
use entente_e2e::broker::BrokerAccess;
use entente_e2e::chance::{Chance, seed};
use entente_e2e::cluster::{Cluster, SYSTEM};
use entente_e2e::manifest::{Manifest, read};
use entente_e2e::wait::{holds, seconds, until};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::batch::v1::Job;
use kube::api::{DeleteParams, ListParams, LogParams};
use kube::{Api, ResourceExt};

const NAMESPACES: [&str; 2] = ["orders", "billing"];
const ROUNDS: usize = 4;

/// What a test works with.
pub struct Stage {
    pub cluster: Cluster,
    broker: BrokerAccess,
    namespaces: &'static [&'static str],
    /// Namespaces first, as they are written.
    declared: Vec<Manifest>,
}

/// Runs a test where nothing is, and leaves nothing, however it ends.
pub async fn stage(
    folder: &str,
    namespaces: &'static [&'static str],
    test: impl AsyncFnOnce(&Stage) -> Result<()>,
) -> Result<()> {
    let cluster = Cluster::connect().await?;
    let broker = BrokerAccess::of(&cluster, SYSTEM, "main").await.context("the Broker main: make install brings it")?;
    let stage = Stage { cluster, broker, namespaces, declared: read(&example(folder))? };
    stage.clear().await?;
    let outcome = test(&stage).await;
    let end = stage.clear().await;
    outcome.and(end)
}

pub fn example(part: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples").join(part)
}

impl Stage {
    async fn clear(&self) -> Result<()> {
        let mut outcome = Ok(());
        for namespace in self.namespaces {
            self.delete_namespace(namespace).await?;
        }
        for namespace in self.namespaces {
            outcome = outcome.and(self.namespace_gone(namespace).await.map(drop));
            outcome = outcome.and(self.virtual_host_gone(namespace).await);
        }
        outcome
    }

    async fn delete_namespace(&self, name: &str) -> Result<()> {
        let namespaces = self.cluster.namespaces();
        if namespaces.get_opt(name).await?.is_some() {
            namespaces.delete(name, &DeleteParams::default()).await?;
        }
        Ok(())
    }

    async fn namespace_gone(&self, name: &str) -> Result<Duration> {
        let namespaces = self.cluster.namespaces();
        let gone = async || match namespaces.get_opt(name).await? {
            None => Ok(true),
            Some(namespace) => bail!("{:?}", namespace.status.and_then(|status| status.conditions)),
        };
        holds(&format!("the namespace {name} is gone"), seconds(60), gone).await
    }

    /// Deletes what is kept of a namespace. RabbitMQ answers 500 to a deletion that meets another.
    async fn virtual_host_gone(&self, name: &str) -> Result<()> {
        let path = format!("vhosts/{name}");
        let gone = async || {
            if self.broker.get(&path).await?.is_none() {
                return Ok(true);
            }
            self.broker.delete(&path).await?;
            Ok(false)
        };
        holds(&format!("the virtual host {name} is gone"), seconds(20), gone).await.map(drop)
    }

    /// What was deleted last may be seen a moment longer by the node that is asked.
    async fn no_queue_is_left(&self) -> Result<()> {
        let none = async || {
            let left = self.broker.queue_names("orders").await?;
            ensure!(left.is_empty(), "{left:?}");
            Ok(true)
        };
        let took = holds("no queue is left", seconds(10), none).await?;
        println!("no queue was left after {took:?}");
        Ok(())
    }

    async fn apply_namespaces(&self) -> Result<()> {
        for manifest in self.declared.iter().filter(|manifest| manifest.kind == "Namespace") {
            manifest.apply(&self.cluster).await?;
        }
        Ok(())
    }

    /// What Entente serves.
    pub fn objects(&self) -> Vec<&Manifest> {
        self.declared.iter().filter(|manifest| manifest.kind != "Namespace").collect()
    }

    pub async fn all_ready(&self, objects: &[&Manifest]) -> Result<Duration> {
        holds("all objects are Ready", seconds(60), async || {
            for object in objects {
                object.is_ready(&self.cluster).await?;
            }
            Ok(true)
        })
        .await
    }

    async fn all_gone(&self, objects: &[&Manifest]) -> Result<Duration> {
        holds("all objects are gone", seconds(60), async || {
            for object in objects {
                object.is_gone(&self.cluster).await?;
            }
            Ok(true)
        })
        .await
    }

    /// Waits until a Job has completed.
    pub async fn complete(&self, job: &Manifest) -> Result<()> {
        let namespace = job.namespace.as_deref().unwrap_or_default();
        let jobs: Api<Job> = Api::namespaced(self.cluster.client.clone(), namespace);
        let ended = async || {
            let status = jobs.get(&job.name).await?.status.unwrap_or_default();
            let conditions = status.conditions.clone().unwrap_or_default();
            let holds = |type_: &str| conditions.iter().any(|condition| condition.type_ == type_ && condition.status == "True");
            ensure!(holds("Complete") || holds("Failed"), "{status:?}");
            Ok(Some(holds("Complete")))
        };
        let (completed, took) = until(&format!("{job} has ended"), seconds(240), ended).await?;
        println!("{job} ended in {took:?}");
        ensure!(completed, "{job} failed: {}", self.logs(namespace, &job.name).await?);
        Ok(())
    }

    async fn logs(&self, namespace: &str, job: &str) -> Result<String> {
        let pods = self.cluster.pods(namespace);
        let mut text = String::new();
        for pod in pods.list(&ListParams::default().labels(&format!("job-name={job}"))).await? {
            for container in pod.spec.iter().flat_map(|spec| &spec.containers) {
                let params = LogParams { container: Some(container.name.clone()), tail_lines: Some(5), ..LogParams::default() };
                let log = pods.logs(&pod.name_any(), &params).await.unwrap_or_default();
                text += &["\n", &pod.name_any(), " ", &container.name, ":\n", &log].concat();
            }
        }
        Ok(text)
    }

    /// The counters follow the messages within seconds.
    async fn holds_messages(&self, virtual_host: &str, queue: &str, expected: i64) -> Result<()> {
        let counted = async || {
            let queues = self.broker.admin.read_queues(virtual_host).await?;
            let seen = queues.get(queue).with_context(|| format!("there is no queue {queue}"))?;
            let messages = seen.counts.context("not counted yet")?.messages();
            ensure!(messages == expected, "there are {messages}");
            Ok(true)
        };
        holds(&format!("{queue} holds {expected} messages"), seconds(60), counted).await.map(drop)
    }
}

#[tokio::test]
async fn orders_and_billing_do_what_their_example_says() -> Result<()> {
    stage("orders-and-billing", &NAMESPACES, async |stage| {
        for manifest in &stage.declared {
            manifest.apply(&stage.cluster).await?;
        }
        let took = stage.all_ready(&stage.objects()).await?;
        println!("{} objects were Ready in {took:?}", stage.objects().len());

        let jobs = read(&example("orders-and-billing/jobs"))?;
        for job in &jobs {
            job.apply(&stage.cluster).await?;
        }
        for job in &jobs {
            stage.complete(job).await?;
        }
        // The table in the producer's Job.
        for (queue, messages) in [
            ("subscription.billing.invoices", 0),
            ("subscription.billing.invoices.dead", 0),
            ("subscription.billing.reports", 400),
            ("audit", 200),
            ("topic.orders.dead", 50),
        ] {
            stage.holds_messages("orders", queue, messages).await?;
        }
        for (queue, messages) in [("audit", 200), ("topic.orders.dead", 50)] {
            let mut ids = drain(&stage.broker, "orders", queue).await?;
            ids.sort();
            ids.dedup();
            ensure!(ids.len() == messages, "{queue} had {} different messages", ids.len());
        }

        // Messages are left in `reports`: they hold no namespace.
        for namespace in NAMESPACES {
            stage.delete_namespace(namespace).await?;
        }
        for namespace in NAMESPACES {
            println!("the namespace {namespace} was gone in {:?}", stage.namespace_gone(namespace).await?);
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn dead_letters_are_sent_again_as_their_example_says() -> Result<()> {
    stage("dead-letters", &["payments"], async |stage| {
        for manifest in &stage.declared {
            manifest.apply(&stage.cluster).await?;
        }
        stage.all_ready(&stage.objects()).await?;
        let jobs = read(&example("dead-letters/jobs"))?;
        // After each Job: messages in the Queue, and among its dead letters.
        let expected = [
            ("payments-producer", 300, 0),
            ("payments-broken-consumer", 0, 100),
            ("payments-redrive", 100, 0),
            ("payments-consumer", 0, 0),
        ];
        ensure!(jobs.len() == expected.len(), "{} Jobs", jobs.len());
        for (job, (name, waiting, dead)) in jobs.iter().zip(expected) {
            ensure!(job.name == name, "{job} in place of {name}");
            job.apply(&stage.cluster).await?;
            stage.complete(job).await?;
            stage.holds_messages("payments", "payments", waiting).await?;
            stage.holds_messages("payments", "payments.dead", dead).await?;
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn consumers_wake_and_sleep_as_their_example_says() -> Result<()> {
    stage("autoscaling", &["kitchen"], async |stage| {
        for manifest in &stage.declared {
            manifest.apply(&stage.cluster).await?;
        }
        let deployments: Api<Deployment> = Api::namespaced(stage.cluster.client.clone(), "kitchen");
        let replicas = async || anyhow::Ok(deployments.get("cooks").await?.spec.and_then(|spec| spec.replicas));
        let asleep = async || Ok(replicas().await? == Some(0));
        println!("nobody at rest after {:?}", holds("nobody works", seconds(60), asleep).await?);
        for job in read(&example("autoscaling/jobs"))? {
            job.apply(&stage.cluster).await?;
            stage.complete(&job).await?;
        }
        let awake = async || Ok(replicas().await? == Some(5));
        println!("five after {:?}", holds("five work on 400 meals", seconds(30), awake).await?);
        stage.holds_messages("kitchen", "meals", 0).await?;
        println!("nobody at rest after {:?}", holds("nobody works", seconds(90), asleep).await?);
        Ok(())
    })
    .await
}

/// So short that several changes meet in one visit, or so long that each is seen alone.
async fn pause(random: &mut Chance) -> Result<()> {
    let pauses = [Duration::ZERO, Duration::from_millis(50), Duration::from_millis(500)];
    tokio::time::sleep(pauses[random.index(pauses.len())?]).await;
    Ok(())
}

fn told(objects: &[&Manifest]) -> String {
    objects.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// I4: whatever the order, all is Ready in the end, and all is gone in the end.
#[tokio::test]
async fn i4_every_order_of_the_example_converges() -> Result<()> {
    let mut random = Chance::of(seed()?);
    stage("orders-and-billing", &NAMESPACES, async |stage| {
        stage.apply_namespaces().await?;
        for round in 1..=ROUNDS {
            let mut objects = stage.objects();
            random.shuffle(&mut objects)?;
            println!("round {round}: apply {}", told(&objects));
            for object in &objects {
                object.apply(&stage.cluster).await?;
                pause(&mut random).await?;
            }
            let ready = stage.all_ready(&objects).await?;
            random.shuffle(&mut objects)?;
            println!("round {round}: Ready in {ready:?}; delete {}", told(&objects));
            for object in &objects {
                object.delete(&stage.cluster).await?;
                pause(&mut random).await?;
            }
            let gone = stage.all_gone(&objects).await?;
            println!("round {round}: gone in {gone:?}");
            stage.no_queue_is_left().await?;
        }

        let mut objects = stage.objects();
        random.shuffle(&mut objects)?;
        let (first, second) = objects.split_at(objects.len() / 2);
        let doomed = NAMESPACES[random.index(NAMESPACES.len())?];
        println!("last: apply {}; then the namespace {doomed} goes; then the rest", told(first));
        for object in first {
            object.apply(&stage.cluster).await?;
            pause(&mut random).await?;
        }
        stage.delete_namespace(doomed).await?;
        let is_left = |object: &&&Manifest| object.namespace.as_deref() != Some(doomed);
        for object in second.iter().filter(is_left) {
            object.apply(&stage.cluster).await?;
            pause(&mut random).await?;
        }
        println!("the namespace {doomed} was gone in {:?}", stage.namespace_gone(doomed).await?);
        // What it leaves behind in the other namespace can go as well.
        let left: Vec<&Manifest> = objects.iter().filter(is_left).copied().collect();
        for object in &left {
            object.delete(&stage.cluster).await?;
        }
        println!("{} were gone in {:?}", told(&left), stage.all_gone(&left).await?);
        Ok(())
    })
    .await
}
