//! Brokers that stand for a RabbitMQ which Entente does not run.

mod rabbit;

use anyhow::{Context, Result, ensure};
use entente_broker::amqp::{ConnectOptions, Connection, Outcome, Outgoing, address};
use entente_crds::{Broker, Client, Queue, Subscription, Topic};
use entente_e2e::amqp::{drain, receive, send, send_to};
use entente_e2e::broker::BrokerAccess;
use entente_e2e::cluster::{Cluster, SYSTEM};
use entente_e2e::leaving;
use entente_e2e::object::{Kind, Objects, condition, status};
use entente_e2e::scene::{Scene, scene};
use entente_e2e::wait::{holds, seconds};
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams};
use rabbit::Rabbit;
use serde_json::{Value, json};

/// The Broker and its Secret, in the operator's namespace: it serves Brokers there.
pub(super) const BROKER: &str = "e2e-external";
const PLUGIN: &str = "rabbitmq_sql_exchange";

pub(super) fn brokers(cluster: &Cluster) -> Objects<Broker> {
    Objects::of(cluster, SYSTEM)
}

pub(super) fn of<K: Kind>(scene: &Scene) -> Objects<K> {
    Objects::of(&scene.cluster, &scene.namespace)
}

pub(super) async fn write_secret(cluster: &Cluster, data: Value) -> Result<()> {
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": BROKER}, "stringData": data});
    let params = PatchParams::apply("entente-e2e").force();
    cluster.secrets(SYSTEM).patch(BROKER, &params, &Patch::Apply(&secret)).await?;
    Ok(())
}

pub(super) async fn declare(scene: &Scene, uri: &str) -> Result<()> {
    let admitted = json!({"from": "Selector", "selector": {"matchLabels": {"kubernetes.io/metadata.name": scene.namespace}}});
    let external = json!({"uri": uri, "secretRef": {"name": BROKER}});
    brokers(&scene.cluster).create(BROKER, json!({"external": external, "allowedNamespaces": admitted})).await?;
    Ok(())
}

async fn remove(cluster: &Cluster) -> Result<()> {
    let brokers = brokers(cluster);
    if brokers.api.get_opt(BROKER).await?.is_some() {
        brokers.delete(BROKER).await?;
        brokers.gone(BROKER, seconds(30)).await?;
    }
    let secrets = cluster.secrets(SYSTEM);
    if secrets.get_opt(BROKER).await?.is_some() {
        secrets.delete(BROKER, &DeleteParams::default()).await?;
    }
    Ok(())
}

/// A spec of an object on this Broker.
pub(super) fn on(mut spec: Value) -> Value {
    spec["brokerRef"] = json!({"name": BROKER, "namespace": SYSTEM});
    spec
}

/// Runs a test, and removes the Broker whatever came of it.
pub(super) async fn with_broker(label: &str, test: impl AsyncFnOnce(&Scene) -> Result<()>) -> Result<()> {
    let cluster = Cluster::connect().await?;
    remove(&cluster).await?;
    let outcome = scene(label, test).await;
    // Objects go as long as their Broker is there.
    leaving::all_gone(&cluster, &BrokerAccess::of(&cluster, SYSTEM, "main").await?).await?;
    remove(&cluster).await?;
    outcome
}

pub(super) async fn broker_is(scene: &Scene, what: &str, condition_: &str, is: (&str, &str)) -> Result<Broker> {
    brokers(&scene.cluster)
        .when(BROKER, what, seconds(40), |broker| {
            let found = condition(broker, condition_).unwrap_or_default();
            (found["status"].as_str(), found["reason"].as_str()) == (Some(is.0), Some(is.1))
        })
        .await
}

#[tokio::test]
async fn an_existing_rabbitmq_gets_queues_and_says_what_it_lacks() -> Result<()> {
    with_broker("external", async |scene| {
        let rabbit = Rabbit::start(scene).await?;
        let broker = rabbit.access()?;
        rabbit.furnish(&broker).await?;
        let before = rabbit.belongings(&broker).await?;
        write_secret(&scene.cluster, json!({"username": rabbit.username, "password": "wrong"})).await?;
        declare(scene, &rabbit.uri()).await?;
        Box::pin(credentials(scene, &rabbit)).await?;
        Box::pin(objects(scene, &broker)).await?;
        Box::pin(other_user(scene, &rabbit, &broker)).await?;
        Box::pin(outage(scene, &rabbit, &broker)).await?;
        Box::pin(endings(scene, &broker)).await?;
        // I2: what was there is as it was.
        let after = rabbit.belongings(&broker).await?;
        ensure!(after == before, "before: {before}\nafter: {after}");
        Ok(())
    })
    .await
}

/// Wrong credentials are a condition, and so is what is missing; both are mended in the Secret alone.
async fn credentials(scene: &Scene, rabbit: &Rabbit) -> Result<()> {
    broker_is(scene, "refuses the password", "Ready", ("False", "CredentialsRefused")).await?;
    let queues: Objects<Queue> = of(scene);
    queues.create("orders", on(json!({}))).await?;
    let told = queues.refused("orders", "BrokerNotReady").await?;
    ensure!(told.contains("does not accept") && told.contains(BROKER), "{told}");
    write_secret(&scene.cluster, json!({"username": rabbit.username, "password": rabbit.password})).await?;
    let seen = broker_is(scene, "is Ready", "Ready", ("True", "Ready")).await?;
    let told = status(&seen);
    ensure!(told["version"].as_str().is_some_and(|version| version.starts_with("4.")), "{told}");
    ensure!(told["readyNodes"] == "1/1" && told["endpoints"]["amqp"] == rabbit.amqp_uri(), "{told}");
    ensure!(!told.to_string().contains(&rabbit.password), "the password is in the status");
    queues.ready("orders", seconds(30)).await?;
    unscaled(&queues).await?;
    let sets: Api<StatefulSet> = Api::namespaced(scene.cluster.client.clone(), SYSTEM);
    ensure!(sets.get_opt(&format!("{BROKER}-broker")).await?.is_none(), "nodes were made");
    ensure!(scene.cluster.services(SYSTEM).get_opt(BROKER).await?.is_none(), "a Service was made");
    Ok(())
}

/// Depths are read from nodes of Entente's own: `spec.scaling` says that nothing comes of it.
async fn unscaled(queues: &Objects<Queue>) -> Result<()> {
    let scaling = json!({"targetRef": {"name": "nobody"}, "messagesPerReplica": 5});
    queues.patch("orders", json!({"spec": {"scaling": scaling}})).await?;
    let says = async || Ok(status(&queues.api.get("orders").await?)["scaling"]["lastDecision"]["heldBack"] == "ExternalBroker");
    holds("scaling is refused", seconds(20), says).await?;
    queues.patch("orders", json!({"spec": {"scaling": null}})).await?;
    Ok(())
}

/// A Queue serves messages; what needs the plugin says so, and is no loop of refusals.
async fn objects(scene: &Scene, broker: &BrokerAccess) -> Result<()> {
    let host = &scene.namespace;
    send(broker, host, "orders", 20).await?;
    ensure!(receive(broker, host, "orders", 20).await?.len() == 20, "messages are missing");

    let lacking = broker_is(scene, "lacks the plugin", "FiltersSupported", ("False", "PluginMissing")).await?;
    let told = condition(&lacking, "FiltersSupported").unwrap_or_default()["message"].to_string();
    ensure!(told.contains(PLUGIN) && told.contains("nable"), "{told}");
    ensure!(condition(&lacking, "EventsHeard").unwrap_or_default()["reason"] == "ResyncOnly", "{}", status(&lacking));

    let (queues, topics, subscriptions, clients): (Objects<Queue>, Objects<Topic>, Objects<Subscription>, Objects<Client>) =
        (of(scene), of(scene), of(scene), of(scene));
    topics.create("news", on(json!({}))).await?;
    subscriptions.create("mail", json!({"topicRef": {"name": "news"}})).await?;
    queues.create("tapped", on(json!({"taps": [{"name": "copy", "queueRef": {"name": "orders"}}]}))).await?;
    let access = |verb: &str| json!([{"name": "orders", "queueRef": {"name": "orders"}, "verbs": [verb]}]);
    clients.create("sender", on(json!({"access": access("Send")}))).await?;
    for told in [
        topics.refused("news", "FiltersNotSupported").await?,
        subscriptions.refused("mail", "FiltersNotSupported").await?,
        queues.refused("tapped", "FiltersNotSupported").await?,
        clients.refused("sender", "FiltersNotSupported").await?,
    ] {
        ensure!(told.contains(PLUGIN) && told.contains("install and enable"), "{told}");
    }
    ensure!(broker.queue(host, "tapped").await?.is_none(), "the tapped Queue was made by half");

    // A Client that receives needs nothing of it.
    let client = clients.create_ready("reader", on(json!({"access": access("Receive")}))).await?;
    let name = status(&client)["binding"]["name"].as_str().context("no Secret is named")?.to_owned();
    let secret = scene.cluster.secrets(host).get(&name).await?;
    send(broker, host, "orders", 1).await?;
    let options = binding_options(&secret, broker)?;
    let connection = Connection::connect(&options).await?;
    let mut receiver = connection.receiver(&address::queue("orders"), 1).await?;
    let delivery = receiver.recv_timeout(seconds(10)).await?;
    receiver.accept(&delivery).await?;
    receiver.close().await?;
    connection.close().await?;

    // Nobody tells of it: it comes back with the next resync.
    broker.delete(&format!("queues/{host}/orders")).await?;
    let back =
        holds("the queue is there again", seconds(100), async || Ok(broker.queue(host, "orders").await?.is_some())).await?;
    println!("external: a queue that somebody deleted was back after {} s", back.as_secs());
    Ok(())
}

/// What a Secret of a Client says, but for the host, which only the cluster's DNS knows.
fn binding_options(secret: &Secret, broker: &BrokerAccess) -> Result<ConnectOptions> {
    let field = |key: &str| -> Result<String> {
        let value = secret.data.as_ref().and_then(|data| data.get(key)).with_context(|| format!("the Secret has no {key}"))?;
        Ok(String::from_utf8(value.0.clone())?)
    };
    ensure!(field("uri")?.starts_with("amqp://") && field("ca.crt").is_err(), "{}", field("host")?);
    let mut options = broker.options(&field("virtual-host")?)?;
    options.username = field("username")?;
    options.password = field("password")?;
    Ok(options)
}

/// Another user in the Secret is taken up, and has its rights in the virtual hosts that there are.
async fn other_user(scene: &Scene, rabbit: &Rabbit, broker: &BrokerAccess) -> Result<()> {
    let password = format!("{}-second", rabbit.password);
    broker.put("users/second", json!({"password": password, "tags": "administrator"})).await?;
    write_secret(&scene.cluster, json!({"username": "second", "password": password})).await?;
    // The operator looks each 15 s, and takes up what is there with the new user.
    let path = format!("permissions/{}/second", scene.namespace);
    holds("the other user has its rights", seconds(40), async || Ok(broker.get(&path).await?.is_some())).await?;
    let queues: Objects<Queue> = of(scene);
    queues.create_ready("by-second", on(json!({}))).await?;
    Ok(())
}

/// Down and back, with the plugin this time.
async fn outage(scene: &Scene, rabbit: &Rabbit, broker: &BrokerAccess) -> Result<()> {
    let host = &scene.namespace;
    send(broker, host, "orders", 3).await?;
    rabbit.stop(scene).await?;
    broker_is(scene, "is silent", "Ready", ("Unknown", "BrokerUnreachable")).await?;
    let queues: Objects<Queue> = of(scene);
    queues.create("late", on(json!({}))).await?;
    let waits = |queue: &Queue| condition(queue, "Ready").is_some_and(|ready| ready["status"] != "True");
    queues.when("late", "waits", seconds(20), waits).await?;
    rabbit.resume(scene, &[PLUGIN]).await?;
    broker_is(scene, "is Ready again", "Ready", ("True", "Ready")).await?;
    queues.ready("late", seconds(30)).await?;
    ensure!(receive(broker, host, "orders", 3).await?.len() == 3, "messages were lost");
    broker_is(scene, "has the plugin", "FiltersSupported", ("True", "Ready")).await?;
    let (topics, subscriptions): (Objects<Topic>, Objects<Subscription>) = (of(scene), of(scene));
    topics.ready("news", seconds(30)).await?;
    subscriptions.ready("mail", seconds(30)).await?;
    queues.ready("tapped", seconds(30)).await?;
    let message = Outgoing::new("m1".to_owned(), "{}".to_owned());
    let outcomes = send_to(broker, host, &address::exchange("topic.news", ""), vec![message]).await?;
    ensure!(outcomes == [Outcome::Accepted], "{outcomes:?}");
    ensure!(drain(broker, host, &format!("subscription.{host}.mail")).await? == ["m1"]);
    Ok(())
}

/// I4: what has no way to its RabbitMQ any more holds nothing up. The RabbitMQ stays as it is.
async fn endings(scene: &Scene, broker: &BrokerAccess) -> Result<()> {
    let (cluster, host) = (&scene.cluster, &scene.namespace);
    let queues: Objects<Queue> = of(scene);
    queues.delete("late").await?;
    queues.gone("late", seconds(30)).await?;
    ensure!(broker.queue(host, "late").await?.is_none(), "a Queue that was deleted is still there");

    send(broker, host, "orders", 2).await?;
    cluster.secrets(SYSTEM).delete(BROKER, &DeleteParams::default()).await?;
    broker_is(scene, "misses its Secret", "Ready", ("False", "CredentialsRefused")).await?;
    queues.delete("tapped").await?;
    let took = queues.gone("tapped", seconds(30)).await?;
    println!("external: without a Secret, a Queue went in {} ms", took.as_millis());

    let brokers = brokers(cluster);
    brokers.delete(BROKER).await?;
    brokers.gone(BROKER, seconds(10)).await?;
    queues.refused("orders", "BrokerNotUsable").await?;
    queues.delete("orders").await?;
    queues.gone("orders", seconds(10)).await?;
    for left in ["orders", "tapped"] {
        ensure!(broker.queue(host, left).await?.is_some(), "{left} was deleted in a RabbitMQ that is nobody's Broker");
    }
    ensure!(receive(broker, host, "orders", 2).await?.len() == 2, "messages were lost");
    Ok(())
}

/// The HTTP API of the Broker `main`.
pub(super) fn main_uri() -> String {
    format!("https://main.{SYSTEM}.svc.cluster.local:15671")
}

/// What a Secret needs to log in there.
pub(super) async fn main_login(scene: &Scene) -> Result<Value> {
    let authority = scene.cluster.secrets(SYSTEM).get("main-tls").await?;
    let authority = authority.data.as_ref().and_then(|data| data.get("ca.crt")).context("no authority")?;
    let ca = String::from_utf8(authority.0.clone())?;
    Ok(json!({"username": scene.broker.username, "password": scene.broker.password, "ca.crt": ca}))
}

/// With TLS, and with the plugin: a Broker of Entente's, as if somebody else ran it.
#[tokio::test]
async fn an_existing_rabbitmq_with_tls_serves_topics() -> Result<()> {
    with_broker("external-tls", async |scene| {
        let cluster = &scene.cluster;
        let mut login = main_login(scene).await?;
        let whole = login.clone();
        login.as_object_mut().context("no login")?.remove("ca.crt");
        write_secret(cluster, login).await?;
        declare(scene, &main_uri()).await?;
        let refused = broker_is(scene, "trusts nobody", "Ready", ("False", "CredentialsRefused")).await?;
        ensure!(status(&refused).to_string().contains("ca.crt is missing"), "{}", status(&refused));
        write_secret(cluster, whole).await?;
        broker_is(scene, "is Ready", "Ready", ("True", "Ready")).await?;
        broker_is(scene, "filters", "FiltersSupported", ("True", "Ready")).await?;
        let (topics, subscriptions): (Objects<Topic>, Objects<Subscription>) = (of(scene), of(scene));
        topics.create_ready("news", on(json!({}))).await?;
        subscriptions.create_ready("dear", json!({"topicRef": {"name": "news"}, "filter": {"sql": "price > 10"}})).await?;
        let message = |id: &str, price: i64| Outgoing::new(id.to_owned(), "{}".to_owned()).property("price", price);
        let to = address::exchange("topic.news", "");
        send_to(&scene.broker, &scene.namespace, &to, vec![message("cheap", 1), message("dear", 11)]).await?;
        let got = drain(&scene.broker, &scene.namespace, &format!("subscription.{}.dear", scene.namespace)).await?;
        ensure!(got == ["dear"], "{got:?}");

        // I8, I3: an address of the operator's own machine, and a Secret that Entente made, are refused.
        let patch = json!({"spec": {"external": {"uri": "http://127.0.0.1:8080"}}});
        let Err(told) = brokers(cluster).patch(BROKER, patch).await else { anyhow::bail!("the operator's own machine was taken") };
        ensure!(format!("{told:#}").contains("own machine"), "{told:#}");
        let patch = json!({"spec": {"external": {"uri": main_uri(), "secretRef": {"name": "main-admin"}}}});
        brokers(cluster).patch(BROKER, patch).await?;
        ensure!(brokers(cluster).refused(BROKER, "CredentialsRefused").await?.contains("made by Entente"));
        // What answers there is no RabbitMQ, and nothing of its words is told.
        let patch = json!({"spec": {"external": {"uri": "http://entente-operator-metrics.entente-system.svc.cluster.local:8080", "secretRef": {"name": BROKER}}}});
        brokers(cluster).patch(BROKER, patch).await?;
        let other = broker_is(scene, "finds no RabbitMQ", "Ready", ("False", "NotRabbitMQ")).await?;
        ensure!(!status(&other).to_string().contains("not found"), "{}", status(&other));
        Ok(())
    })
    .await
}
