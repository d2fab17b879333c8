//! MQTT 5 by a client of others, on a Broker that has it on: how a virtual host is chosen, and which rights it takes.

use anyhow::{Context, Result, ensure};
use entente_broker::amqp::{Outcome, Outgoing, address};
use entente_crds::{Broker, Client, Queue};
use entente_e2e::amqp::{drain, send_to};
use entente_e2e::broker::BrokerAccess;
use entente_e2e::cluster::{Cluster, SYSTEM};
use entente_e2e::foreign::{Binding, Clients, Program};
use entente_e2e::object::{Objects, status};
use entente_e2e::scene::{Scene, scene};
use entente_e2e::wait::seconds;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::Api;
use kube::api::DeleteParams;
use serde_json::{Value, json};

/// A user that speaks MQTT may make and read queues of its own subscriptions, and use the exchange of MQTT.
const OWN_QUEUES: &str = "^mqtt-subscription-";
const OWN_QUEUES_AND_EXCHANGE: &str = r"^(mqtt-subscription-.*|amq\.topic)\z";

#[tokio::test]
async fn mqtt_5_meets_amqp_in_a_virtual_host() -> Result<()> {
    let programs = Clients::installed().await?;
    let cluster = Cluster::connect().await?;
    scene("mqtt", async |scene| {
        let brokers: Objects<Broker> = Objects::of(&cluster, SYSTEM);
        let admitted = json!({"from": "Selector", "selector": {"matchLabels": {"kubernetes.io/metadata.name": scene.namespace}}});
        let spec = json!({"replicas": 1, "storage": {"size": "1Gi"}, "channels": {"mqtt": true}, "allowedNamespaces": admitted});
        // Of its own name each time: what was known of another one must not matter.
        brokers.create(&scene.namespace, spec).await?;
        if let Err(error) = brokers.ready(&scene.namespace, seconds(120)).await {
            remove(&cluster, &scene.namespace).await?;
            return Err(error);
        }
        let broker = BrokerAccess::of(&cluster, SYSTEM, &scene.namespace).await?;
        let service = cluster.services(SYSTEM).get(&scene.namespace).await?;
        let address = service.spec.and_then(|spec| spec.cluster_ip).context("the Broker's Service has no address")?;
        let outcome = Box::pin(meet(scene, &programs, &broker, &address)).await;
        remove(&cluster, &scene.namespace).await?;
        outcome
    })
    .await
}

/// Removes the Broker and its volume.
async fn remove(cluster: &Cluster, broker: &str) -> Result<()> {
    let brokers: Objects<Broker> = Objects::of(cluster, SYSTEM);
    if brokers.api.get_opt(broker).await?.is_some() {
        brokers.delete(broker).await?;
        brokers.gone(broker, seconds(60)).await?;
    }
    let claims: Api<PersistentVolumeClaim> = Api::namespaced(cluster.client.clone(), SYSTEM);
    let claim = format!("data-{broker}-broker-0");
    if claims.get_opt(&claim).await?.is_some() {
        claims.delete(&claim, &DeleteParams::default()).await?;
    }
    Ok(())
}

async fn meet(scene: &Scene, programs: &Clients, broker: &BrokerAccess, address_of_broker: &str) -> Result<()> {
    let host = &scene.namespace;
    let queues: Objects<Queue> = Objects::of(&scene.cluster, host);
    let reference = json!({"name": host, "namespace": SYSTEM});
    queues.create_ready("readings", json!({"brokerRef": reference})).await?;

    // A Client's user comes in, to the virtual host before its name, and may do nothing there over MQTT.
    let clients: Objects<Client> = Objects::of(&scene.cluster, host);
    let access = json!([{"name": "readings", "queueRef": {"name": "readings"}, "verbs": ["Send", "Receive"]}]);
    let client = clients.create_ready("meter", json!({"brokerRef": reference, "access": access})).await?;
    let secret = status(&client)["binding"]["name"].as_str().context("no Secret is named")?.to_owned();
    let secret = scene.cluster.secrets(host).get(&secret).await?;
    let binding = Binding::mount(&secret, address_of_broker.to_owned())?;
    let reading = |number: i64| json!([{"payload": format!("{number}"), "qos": 1, "properties": {"userProperties": {"unit": "kWh"}, "contentType": "text/plain"}}]);
    // RabbitMQ says no to a subscription, and ends the connection of who publishes.
    for (arguments, input, answer) in [
        (["publish", "meters/1"].as_slice(), Some(reading(0)), "closed the connection"),
        (&["subscribe", "s", "meters/#"], None, "Not authorized"),
    ] {
        let refused: Result<Value> = programs.run(Program::Mqtt, &binding, arguments, input.as_ref()).await;
        let told = format!("{:#}", refused.err().with_context(|| format!("{arguments:?} was allowed"))?);
        ensure!(told.contains(answer), "{arguments:?}: {told}");
    }

    // One with the rights that MQTT takes.
    let (user, password) = ("meters", format!("{:?}", std::time::SystemTime::now()));
    broker.put(&format!("users/{user}"), json!({"password": password, "tags": ""})).await?;
    let rights = json!({"configure": OWN_QUEUES, "write": OWN_QUEUES_AND_EXCHANGE, "read": OWN_QUEUES_AND_EXCHANGE});
    broker.put(&format!("permissions/{host}/{user}"), rights).await?;
    let (name, ca) = (binding.field("host")?, binding.field("ca.crt")?);
    let files =
        [("host", &name), ("virtual-host", host), ("username", &user.to_owned()), ("password", &password), ("ca.crt", &ca)];
    let files = files.into_iter().map(|(key, value)| (key, value.as_bytes()));
    let device = Binding::of(files, address_of_broker.to_owned())?;

    // From MQTT to MQTT, and to a Queue that is bound to MQTT's exchange.
    let key = json!({"routing_key": "meters.#"});
    let (bound, why) = broker.post(&format!("bindings/{host}/e/amq.topic/q/readings"), key).await?;
    ensure!(bound.is_success(), "{why}");
    let granted: Vec<u8> = programs.run(Program::Mqtt, &device, &["subscribe", "display", "meters/+"], None).await?;
    ensure!(granted == [1], "{granted:?}");
    let codes: Vec<u8> = programs.run(Program::Mqtt, &device, &["publish", "meters/7"], Some(&reading(42))).await?;
    ensure!(codes == [0], "{codes:?}");
    let connection = broker.connect(host).await?;
    let mut receiver = connection.receiver(&address::queue("readings"), 1).await?;
    let delivery = receiver.recv_timeout(seconds(10)).await?;
    receiver.accept(&delivery).await?;
    let content = delivery.content.as_ref().map_err(|error| anyhow::anyhow!("{error:?}"))?;
    let shown = format!("{content:?}");
    ensure!(shown.contains("kWh") && shown.contains("text/plain"), "{shown}");
    receiver.close().await?;
    connection.close().await?;

    // And from AMQP 1.0 to MQTT. The session waited for both without a connection.
    let message = Outgoing::new("m1".to_owned(), "43".to_owned()).property("unit", "kWh");
    let outcomes = send_to(broker, host, &address::exchange("amq.topic", "meters.8"), vec![message]).await?;
    ensure!(outcomes == [Outcome::Accepted], "{outcomes:?}");
    let got: Vec<Value> = programs.run(Program::Mqtt, &device, &["receive", "display", "2"], None).await?;
    let seen = |index: usize| (&got[index]["topic"], &got[index]["payload"], &got[index]["properties"]["userProperties"]["unit"]);
    ensure!(seen(0) == (&json!("meters/7"), &json!("42"), &json!("kWh")), "{got:?}");
    ensure!(seen(1) == (&json!("meters/8"), &json!("43"), &json!("kWh")), "{got:?}");
    ensure!(drain(broker, host, "readings").await? == ["m1"], "what came over AMQP goes to the Queue too");

    // The virtual host is the part before the colon: without the right to it there is no connection.
    let files = [
        ("host", &name),
        ("virtual-host", &"/".to_owned()),
        ("username", &user.to_owned()),
        ("password", &password),
        ("ca.crt", &ca),
    ];
    let elsewhere = Binding::of(files.into_iter().map(|(key, value)| (key, value.as_bytes())), address_of_broker.to_owned())?;
    let answer: Result<Value> = programs.run(Program::Mqtt, &elsewhere, &["publish", "meters/7"], Some(&reading(1))).await;
    let told = format!("{:#}", answer.err().context("another virtual host was let in")?);
    ensure!(told.to_lowercase().contains("not authorized") || told.contains("135"), "{told}");

    queues.patch("readings", json!({"spec": {"deletionPolicy": "Delete"}})).await?;
    queues.delete("readings").await?;
    queues.gone("readings", seconds(30)).await?;
    clients.delete("meter").await?;
    clients.gone("meter", seconds(30)).await.map(drop)
}
