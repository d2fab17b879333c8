//! Clients: rights exactly as declared, and a Secret that is usable as it stands.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use entente_broker::amqp::{ConnectOptions, Connection, Error, Outgoing, Tls};
use entente_broker::tls::client_config;
use entente_crds::{Client, Queue, Subscription, Topic};
use entente_e2e::cluster::SYSTEM;
use entente_e2e::scene::{Scene, scene};
use entente_e2e::wait::{holds, seconds, until};
use k8s_openapi::api::core::v1::{Namespace, Secret};
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::{Api, ResourceExt};
use serde_json::{Value, json};

/// What a workload knows: the fields of its Secret, and nothing else.
#[derive(Clone)]
pub(super) struct Binding {
    secret: Secret,
    /// Where the Secret's host leads: the tests run beside the cluster and have no cluster DNS.
    address: String,
}

impl Binding {
    pub(super) fn get(&self, key: &str) -> Result<String> {
        let value =
            self.secret.data.as_ref().and_then(|data| data.get(key)).with_context(|| format!("the Secret has no {key}"))?;
        Ok(String::from_utf8(value.0.clone())?)
    }

    async fn connect_to(&self, virtual_host: &str) -> Result<Connection, Error> {
        let field = |key: &str| self.get(key).unwrap_or_default();
        let port = field("port").parse().unwrap_or_default();
        let mut options = ConnectOptions::new(&self.address, port, field("username"), field("password"));
        virtual_host.clone_into(&mut options.virtual_host);
        options.tls = Some(Tls::from_ca_pem(field("ca.crt").as_bytes(), &field("host"))?);
        Connection::connect(&options).await
    }

    pub(super) async fn connect(&self) -> Result<Connection, Error> {
        self.connect_to(&self.get("virtual-host").unwrap_or_default()).await
    }

    /// The status of a request to the management API.
    async fn management(&self) -> Result<u16> {
        let host = self.get("host")?;
        let http = reqwest::Client::builder()
            .timeout(seconds(15))
            .no_proxy()
            .tls_backend_preconfigured(client_config(Some(self.get("ca.crt")?.as_bytes()))?)
            .resolve(&host, SocketAddr::new(self.address.parse()?, 15671))
            .build()?;
        let url = format!("https://{host}:15671/api/whoami");
        Ok(http.get(url).basic_auth(self.get("username")?, Some(self.get("password")?)).send().await?.status().as_u16())
    }
}

fn clients(scene: &Scene) -> Api<Client> {
    Api::namespaced(scene.cluster.client.clone(), &scene.namespace)
}

pub(super) async fn create(scene: &Scene, name: &str, spec: Value) -> Result<()> {
    let client = Client::new(name, serde_json::from_value(spec)?);
    clients(scene).create(&PostParams::default(), &client).await.map(drop)?;
    Ok(())
}

pub(super) async fn patch(scene: &Scene, name: &str, patch: Value) -> Result<()> {
    clients(scene).patch(name, &PatchParams::default(), &Patch::Merge(patch)).await.map(drop)?;
    Ok(())
}

fn ready(client: &Client) -> Option<(&str, &str, &str)> {
    let status = client.status.as_ref()?;
    let ready = status.conditions.iter().find(|condition| condition.type_ == "Ready")?;
    (status.observed_generation == client.metadata.generation).then_some((&ready.status, &ready.reason, &ready.message))
}

async fn when(scene: &Scene, name: &str, what: &str, is: impl Fn(&Client) -> bool) -> Result<Client> {
    let clients = clients(scene);
    let ask = async || {
        let client = clients.get(name).await?;
        ensure!(is(&client), "its status is {}", serde_json::to_string(&client.status)?);
        Ok(Some(client))
    };
    Ok(until(&format!("Client {name} {what}"), seconds(30), ask).await?.0)
}

pub(super) async fn is_ready(scene: &Scene, name: &str) -> Result<Client> {
    when(scene, name, "is Ready", |client| ready(client).is_some_and(|(status, ..)| status == "True")).await
}

async fn is_refused(scene: &Scene, name: &str, reason: &str) -> Result<Client> {
    when(scene, name, &format!("is not Ready: {reason}"), |client| ready(client).is_some_and(|(_, seen, _)| seen == reason)).await
}

/// The Secret that the Client's status names, as it is now.
pub(super) async fn binding(scene: &Scene, name: &str) -> Result<Binding> {
    let client = clients(scene).get(name).await?;
    let secret = client.status.and_then(|status| status.binding).context("no Secret is named")?.name;
    let secret = scene.cluster.secrets(&scene.namespace).get(&secret).await?;
    let service = scene.cluster.services(SYSTEM).get("main").await?;
    let address = service.spec.and_then(|spec| spec.cluster_ip).context("the Broker's Service has no address")?;
    Ok(Binding { secret, address })
}

pub(super) async fn send(connection: &Connection, address: &str, text: &str) -> Result<(), Error> {
    let mut sender = connection.sender(address).await?;
    sender.send(Outgoing::new(text.to_owned(), text.to_owned())).await?.accepted()?;
    sender.close().await
}

async fn receive(connection: &Connection, address: &str) -> Result<String, Error> {
    let mut receiver = connection.receiver(address, 1).await?;
    let delivery = receiver.recv_timeout(seconds(10)).await?;
    receiver.accept(&delivery).await?;
    receiver.close().await?;
    Ok(delivery.message_id().unwrap_or_default())
}

/// A link that the broker must refuse. Each has a connection of its own, which such a refusal may end.
pub(super) async fn must_be_refused(
    binding: &Binding,
    what: &str,
    use_it: impl AsyncFnOnce(&Connection) -> Result<(), Error>,
) -> Result<()> {
    let connection = binding.connect().await?;
    match use_it(&connection).await {
        Err(Error::Unauthorized { .. }) => Ok(()),
        other => anyhow::bail!("{what}: {other:?}"),
    }
}

async fn is_closed(connection: &Connection, limit: Duration) -> Result<Duration> {
    let begin = Instant::now();
    tokio::time::timeout(limit, connection.ended()).await.context("the connection is still open")?;
    Ok(begin.elapsed())
}

fn orders(verbs: &[&str]) -> Value {
    json!({"name": "orders", "queueRef": {"name": "orders"}, "verbs": verbs})
}

#[tokio::test]
async fn i3_rights_are_those_declared_and_the_secret_is_usable_as_given() -> Result<()> {
    scene("rights", async |scene| {
        scene.create_ready("orders", json!({})).await?;
        scene.create_ready("parts", json!({})).await?;
        create(scene, "web", json!({"access": [orders(&["Send", "Receive"])]})).await?;
        is_ready(scene, "web").await?;
        let binding = binding(scene, "web").await?;
        ensure!(binding.get("type")? == "amqp10" && binding.get("provider")? == "entente");

        let connection = binding.connect().await?;
        send(&connection, &binding.get("address.orders.send")?, "one").await?;
        ensure!(receive(&connection, &binding.get("address.orders")?).await? == "one");
        connection.close().await?;

        must_be_refused(&binding, "receive from another queue", async |it| it.receiver("/queues/parts", 1).await.map(drop))
            .await?;
        must_be_refused(&binding, "send to another queue", async |it| send(it, "/exchanges/queue.parts", "x").await).await?;
        must_be_refused(&binding, "the default exchange, own queue", async |it| send(it, "/queues/orders", "x").await).await?;
        must_be_refused(&binding, "the default exchange, another queue", async |it| send(it, "/queues/parts", "x").await).await?;
        must_be_refused(&binding, "a predeclared exchange", async |it| send(it, "/exchanges/amq.topic/x", "x").await).await?;
        must_be_refused(&binding, "dead letters as an exchange", async |it| {
            send(it, "/exchanges/entente.dead-letters/orders", "x").await
        })
        .await?;
        for host in ["/", "e2e-nobody"] {
            ensure!(binding.connect_to(host).await.is_err(), "another virtual host: {host}");
        }
        ensure!(binding.management().await? == 401, "the management API let it in");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_password_changes_without_one_failed_send() -> Result<()> {
    scene("rotate", async |scene| {
        scene.create_ready("orders", json!({"deletionPolicy": "Delete"})).await?;
        create(scene, "web", json!({"access": [orders(&["Send"])], "rotation": {"overlap": "8s"}})).await?;
        is_ready(scene, "web").await?;
        let old = binding(scene, "web").await?;
        let connection = old.connect().await?;
        let mut sender = connection.sender(&old.get("address.orders")?).await?;
        let mut sent = 0;
        let mut post = async || {
            sender.send(Outgoing::new(format!("{sent}"), "x".to_owned())).await?.accepted()?;
            sent += 1;
            tokio::time::sleep(Duration::from_millis(20)).await;
            Ok::<usize, Error>(sent)
        };
        post().await?;
        patch(scene, "web", json!({"metadata": {"annotations": {"entente.dev/rotate": "now"}}})).await?;
        let begin = Instant::now();
        let new = loop {
            post().await?;
            let new = binding(scene, "web").await?;
            if new.get("username")? != old.get("username")? {
                break new;
            }
            ensure!(begin.elapsed() < seconds(10), "no new password came");
        };
        let rotated = Instant::now();
        ensure!(new.get("password")? != old.get("password")?);
        new.connect().await?.close().await?;
        old.connect().await.context("the old password works within the overlap")?.close().await?;
        let client = when(scene, "web", "names the user before", |client| {
            client.status.as_ref().is_some_and(|status| status.previous.is_some())
        })
        .await?;
        let previous = client.status.and_then(|status| status.previous).context("none")?;
        ensure!(previous.username == old.get("username")?);
        // Within the overlap nothing fails.
        let mut last = 0;
        while rotated.elapsed() < seconds(6) {
            last = post().await.with_context(|| format!("a send failed {:?} after the rotation", rotated.elapsed()))?;
        }
        let closed = is_closed(&connection, seconds(10)).await?;
        println!("{last} sends in the overlap, closed {:?} after the rotation (waited {closed:?})", rotated.elapsed());
        ensure!(rotated.elapsed() >= Duration::from_millis(6_900), "closed too early");
        ensure!(old.connect().await.is_err(), "the old password still works");
        when(scene, "web", "has one password", |client| client.status.as_ref().is_some_and(|status| status.previous.is_none()))
            .await?;
        ensure!(binding(scene, "web").await?.get("username")? == new.get("username")?, "it rotated again");
        on_schedule(scene, "web").await
    })
    .await
}

/// The Secret is the record of when a password was made: one that was made long ago is due.
async fn on_schedule(scene: &Scene, name: &str) -> Result<()> {
    let before = binding(scene, name).await?;
    patch(scene, name, json!({"spec": {"rotation": {"every": "1h", "overlap": "8s"}}})).await?;
    tokio::time::sleep(seconds(3)).await;
    ensure!(binding(scene, name).await?.get("username")? == before.get("username")?, "it rotated before its time");
    let secret = clients(scene).get(name).await?.status.and_then(|status| status.binding).context("no binding")?.name;
    let long_ago = jiff::Timestamp::now() - jiff::SignedDuration::from_mins(61);
    let made = json!({"metadata": {"annotations": {"entente.dev/rotated-at": long_ago.to_string()}}});
    scene.cluster.secrets(&scene.namespace).patch(&secret, &PatchParams::default(), &Patch::Merge(made)).await?;
    // Secrets are not listened to: without a reason to look, it would be seen with the next resync.
    patch(scene, name, json!({"spec": {"rotation": {"every": "59m"}}})).await?;
    until("the schedule brings a new password", seconds(20), async || {
        let new = binding(scene, name).await?;
        Ok((new.get("username")? != before.get("username")?).then_some(()))
    })
    .await?;
    binding(scene, name).await?.connect().await?.close().await?;
    before.connect().await.context("the password before works within the overlap")?.close().await?;
    Ok(())
}

#[tokio::test]
async fn rights_that_are_taken_away_end_live_connections() -> Result<()> {
    scene("revoke", async |scene| {
        scene.create_ready("orders", json!({})).await?;
        scene.create_ready("parts", json!({})).await?;
        let parts = json!({"name": "parts", "queueRef": {"name": "parts"}, "verbs": ["Send"]});
        create(scene, "web", json!({"access": [orders(&["Receive"]), parts]})).await?;
        is_ready(scene, "web").await?;
        let binding = binding(scene, "web").await?;
        let connection = binding.connect().await?;
        let receiver = connection.receiver("/queues/orders", 1).await?;
        // A new right closes nothing.
        patch(scene, "web", json!({"spec": {"access": [orders(&["Receive", "Send"]), parts]}})).await?;
        is_ready(scene, "web").await?;
        send(&connection, "/exchanges/queue.orders", "x").await?;
        // One less does.
        patch(scene, "web", json!({"spec": {"access": [parts]}})).await?;
        let closed = is_closed(&connection, seconds(10)).await?;
        println!("closed {closed:?} after the entry went");
        drop(receiver);
        must_be_refused(&binding, "what was taken away", async |it| it.receiver("/queues/orders", 1).await.map(drop)).await?;
        let connection = binding.connect().await?;
        send(&connection, "/exchanges/queue.parts", "x").await?;
        // The whole Client goes, and its Secret with it.
        clients(scene).delete("web", &DeleteParams::default()).await?;
        is_closed(&connection, seconds(10)).await?;
        ensure!(binding.connect().await.is_err());
        let user = format!("users/{}", binding.get("username")?);
        holds("the user is gone", seconds(10), async || Ok(scene.broker.get(&user).await?.is_none())).await?;
        let secrets = scene.cluster.secrets(&scene.namespace);
        holds("the Secret is gone", seconds(30), async || Ok(secrets.get_opt("web-binding").await?.is_none())).await?;
        for queue in ["orders", "parts"] {
            scene.patch(queue, json!({"spec": {"deletionPolicy": "Delete"}})).await?;
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn i3_another_namespace_is_used_only_as_its_owner_grants() -> Result<()> {
    scene("owner", async |owner| {
        scene("user", async |scene| {
            owner.create_ready("orders", json!({"deletionPolicy": "Delete"})).await?;
            let entry =
                |name: &str| json!({"name": "e", "queueRef": {"name": name, "namespace": owner.namespace}, "verbs": ["Send"]});
            create(scene, "web", json!({"access": [entry("orders")]})).await?;
            create(scene, "none", json!({"access": [entry("nothing")]})).await?;
            let message = async |name: &str| -> Result<String> {
                let client = is_refused(scene, name, "AccessNotGranted").await?;
                Ok(ready(&client).map(|(.., message)| message.to_owned()).unwrap_or_default())
            };
            let (forbidden, absent) = (message("web").await?, message("none").await?);
            ensure!(forbidden.replace("/orders", "/nothing") == absent, "{forbidden} / {absent}");
            let before = binding(scene, "web").await?;
            ensure!(before.connect().await.is_err(), "a Client without any right can connect");

            let grants = json!([{"namespace": scene.namespace, "verbs": ["Send"]}]);
            owner.patch("orders", json!({"spec": {"grants": grants}})).await?;
            is_ready(scene, "web").await?;
            let binding = binding(scene, "web").await?;
            ensure!(binding.get("virtual-host")? == owner.namespace);
            let connection = binding.connect().await?;
            let mut sender = connection.sender(&binding.get("address.e")?).await?;
            sender.send(Outgoing::new("1".to_owned(), "x".to_owned())).await?.accepted()?;
            must_be_refused(&binding, "receive", async |it| it.receiver("/queues/orders", 1).await.map(drop)).await?;

            // Its owner takes the grant back, whatever the user's namespace does meanwhile.
            patch(scene, "web", json!({"metadata": {"annotations": {"entente.dev/paused": "true"}}})).await?;
            owner.patch("orders", json!({"spec": {"grants": []}})).await?;
            let closed = is_closed(&connection, seconds(10)).await?;
            println!("closed {closed:?} after the grant went");
            ensure!(binding.connect().await.is_err());
            patch(scene, "web", json!({"metadata": {"annotations": null}})).await?;
            is_refused(scene, "web", "AccessNotGranted").await?;
            Ok(())
        })
        .await
    })
    .await
}

#[tokio::test]
async fn i2_a_secret_of_somebody_else_is_left_alone() -> Result<()> {
    scene("secret", async |scene| {
        scene.create_ready("orders", json!({})).await?;
        let secrets = scene.cluster.secrets(&scene.namespace);
        let foreign: Secret =
            serde_json::from_value(json!({"metadata": {"name": "web-binding"}, "stringData": {"password": "mine"}}))?;
        let foreign = secrets.create(&PostParams::default(), &foreign).await?;
        create(scene, "web", json!({"access": [orders(&["Send"])]})).await?;
        is_refused(scene, "web", "Conflict").await?;
        let now = secrets.get("web-binding").await?;
        ensure!(now.resource_version() == foreign.resource_version(), "it was written to");
        patch(scene, "web", json!({"spec": {"secretName": "web-broker"}})).await?;
        is_ready(scene, "web").await?;
        binding(scene, "web").await?.connect().await?.close().await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn what_somebody_changes_is_put_right() -> Result<()> {
    scene("cdrift", async |scene| {
        scene.create_ready("orders", json!({"deletionPolicy": "Delete"})).await?;
        create(scene, "web", json!({"access": [orders(&["Send"])]})).await?;
        is_ready(scene, "web").await?;
        let given = binding(scene, "web").await?;
        let (user, host) = (given.get("username")?, scene.namespace.clone());
        let works = async || -> Result<bool> {
            let connection = given.connect().await?;
            send(&connection, "/exchanges/queue.orders", "x").await?;
            connection.close().await?;
            Ok(true)
        };
        works().await?;
        scene.broker.delete(&format!("users/{user}")).await?;
        println!("a deleted user is back in {:?}", holds("the user is back", seconds(15), works).await?);
        scene.broker.put(&format!("users/{user}"), json!({"password": "weak", "tags": "administrator"})).await?;
        // Without our tag it is somebody else's: nothing is changed until it is gone.
        is_refused(scene, "web", "Conflict").await?;
        scene.broker.delete(&format!("users/{user}")).await?;
        holds("the user is back", seconds(15), works).await?;
        is_ready(scene, "web").await?;

        let permission = format!("permissions/{host}/{user}");
        let before = scene.broker.get(&permission).await?.context("no permission")?;
        let live = given.connect().await?;
        scene.broker.put(&permission, json!({"configure": ".*", "write": ".*", "read": ".*"})).await?;
        let took = holds("the permission is as declared", seconds(15), async || {
            Ok(scene.broker.get(&permission).await?.as_ref() == Some(&before))
        })
        .await?;
        println!("a permission is put right in {took:?}");
        is_closed(&live, seconds(5)).await?;
        scene.broker.delete(&permission).await?;
        holds("the permission is back", seconds(15), works).await?;

        // The Secret: a change by hand and a deletion are put right when the Client is looked at.
        let secrets = scene.cluster.secrets(&scene.namespace);
        let look = async |count: usize| patch(scene, "web", json!({"metadata": {"labels": {"look": count.to_string()}}})).await;
        secrets.patch("web-binding", &PatchParams::default(), &Patch::Merge(json!({"stringData": {"host": "evil"}}))).await?;
        look(1).await?;
        holds("the host is right", seconds(15), async || Ok(binding(scene, "web").await?.get("host")? == given.get("host")?))
            .await?;
        secrets.delete("web-binding", &DeleteParams::default()).await?;
        look(2).await?;
        let made = until("the Secret is made anew", seconds(15), async || Ok(Some(binding(scene, "web").await?))).await?.0;
        ensure!(made.get("username")? != user, "the password that was lost is used again");
        made.connect().await?.close().await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn topics_are_sent_to_and_subscriptions_received_from() -> Result<()> {
    scene("pubsub", async |scene| {
        let client = || scene.cluster.client.clone();
        let topics: Api<Topic> = Api::namespaced(client(), &scene.namespace);
        let subscriptions: Api<Subscription> = Api::namespaced(client(), &scene.namespace);
        let access = json!([
            {"name": "prices", "topicRef": {"name": "prices"}, "verbs": ["Send"]},
            {"name": "all", "subscriptionRef": {"name": "all"}, "verbs": ["Receive"]},
        ]);
        // Whatever the order: the Client comes first.
        create(scene, "web", json!({"access": access})).await?;
        is_refused(scene, "web", "AccessNotGranted").await?;
        let subscription = Subscription::new(
            "all",
            serde_json::from_value(json!({"topicRef": {"name": "prices"}, "deletionPolicy": "Delete"}))?,
        );
        subscriptions.create(&PostParams::default(), &subscription).await?;
        topics
            .create(&PostParams::default(), &Topic::new("prices", serde_json::from_value(json!({"deletionPolicy": "Delete"}))?))
            .await?;
        is_ready(scene, "web").await?;
        let given = binding(scene, "web").await?;
        let connection = given.connect().await?;
        // The subscription may be bound a moment after its queue is there.
        holds("a message is routed", seconds(15), async || {
            Ok(send(&connection, &given.get("address.prices")?, "p").await.is_ok())
        })
        .await?;
        ensure!(receive(&connection, &given.get("address.all")?).await? == "p");
        // RabbitMQ looks whether the queue is there before it looks whether it may be read.
        scene.create_ready("parts", json!({"deletionPolicy": "Delete"})).await?;
        must_be_refused(&given, "another queue", async |it| it.receiver("/queues/parts", 1).await.map(drop)).await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn i4_a_namespace_goes_with_its_clients_and_their_users() -> Result<()> {
    scene("gone", async |scene| {
        scene.create_ready("orders", json!({"deletionPolicy": "Delete"})).await?;
        create(scene, "web", json!({"access": [orders(&["Send"])]})).await?;
        is_ready(scene, "web").await?;
        let given = binding(scene, "web").await?;
        let connection = given.connect().await?;
        let namespaces: Api<Namespace> = scene.cluster.namespaces();
        namespaces.delete(&scene.namespace, &DeleteParams::default()).await?;
        is_closed(&connection, seconds(30)).await?;
        scene.namespace_gone(seconds(60)).await?;
        let user = format!("users/{}", given.get("username")?);
        ensure!(scene.broker.get(&user).await?.is_none(), "its user is left");
        let queues: Api<Queue> = scene.queues();
        drop(queues);
        Ok(())
    })
    .await
}
