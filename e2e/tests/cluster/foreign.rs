//! Clients of others do what ours do: the quickstart and filters, by rhea and by Qpid Proton, with what a Client's Secret says.
//!
//! What a Subscription must get is decided by `core`'s evaluator, over the very messages that these clients are told to send.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context, Result, ensure};
use entente_core::filter::subject::subject_matches;
use entente_core::filter::{Field, Message, Value as Typed, parse, properties};
use entente_crds::{Client, Queue, Subscription, Topic};
use entente_e2e::amqp::drain;
use entente_e2e::cluster::SYSTEM;
use entente_e2e::foreign::{Binding, Clients, Program};
use entente_e2e::object::{Objects, status};
use entente_e2e::scene::{Scene, scene};
use entente_e2e::wait::{holds, seconds};
use k8s_openapi::jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

/// Messages of the quickstart: several times the credit that the programs give.
const MESSAGES: usize = 1_000;
/// Subscriptions of one Client.
const RIGHTS_AT_ONCE: usize = 12;

#[derive(Deserialize)]
struct Received {
    id: String,
    body: Value,
}

/// What a workload has of a Client that is Ready.
async fn binding(scene: &Scene, client: &str) -> Result<Binding> {
    let clients: Objects<Client> = Objects::of(&scene.cluster, &scene.namespace);
    let client = clients.ready(client, seconds(30)).await?;
    let secret = status(&client)["binding"]["name"].as_str().context("no Secret is named")?.to_owned();
    let secret = scene.cluster.secrets(&scene.namespace).get(&secret).await?;
    let service = scene.cluster.services(SYSTEM).get("main").await?;
    Binding::mount(&secret, service.spec.and_then(|spec| spec.cluster_ip).context("the Broker's Service has no address")?)
}

/// The Queue `orders` of the quickstart, as it is written there.
fn quickstart_queue() -> Result<Value> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/quickstart/02-queue.yaml");
    let text = std::fs::read_to_string(&file).with_context(|| file.display().to_string())?;
    for document in serde_yaml::Deserializer::from_str(&text) {
        let object = Value::deserialize(document)?;
        if object["metadata"]["name"] == "orders" {
            return Ok(object["spec"].clone());
        }
    }
    anyhow::bail!("the quickstart has no Queue orders")
}

/// Each sends to a Queue; it receives its own messages, and those of the other one.
#[tokio::test]
async fn rhea_and_proton_do_the_quickstart() -> Result<()> {
    let programs = Clients::installed().await?;
    scene("foreign", async |scene| {
        scene.create_ready("orders", quickstart_queue()?).await?;
        let access = json!([{"name": "orders", "queueRef": {"name": "orders"}, "verbs": ["Send", "Receive"]}]);
        let clients: Objects<Client> = Objects::of(&scene.cluster, &scene.namespace);
        clients.create_ready("shop", json!({"access": access})).await?;
        let binding = binding(scene, "shop").await?;
        let (to, from) = (binding.field("address.orders.send")?, binding.field("address.orders")?);
        for (sender, receiver) in [
            (Program::Rhea, Program::Rhea),
            (Program::Proton, Program::Proton),
            (Program::Rhea, Program::Proton),
            (Program::Proton, Program::Rhea),
        ] {
            let messages: Vec<Value> =
                (0..MESSAGES).map(|number| json!({"id": format!("m{number}"), "body": format!("grüße {number}")})).collect();
            let messages = Value::from(messages);
            let outcomes: Vec<String> = programs.run(sender, &binding, &["send", &to], Some(&messages)).await?;
            ensure!(
                outcomes.len() == MESSAGES && outcomes.iter().all(|outcome| outcome == "accepted"),
                "{sender:?}: {outcomes:?}"
            );
            let count = MESSAGES.to_string();
            let got: Vec<Received> = programs.run(receiver, &binding, &["receive", &from, &count], None).await?;
            for (number, Received { id, body }) in got.iter().enumerate() {
                let place = format!("{sender:?} to {receiver:?}: {id} {body} came at place {number}");
                ensure!(*id == format!("m{number}") && *body == format!("grüße {number}"), "{place}");
            }
            ensure!(got.len() == MESSAGES, "{receiver:?} received {}", got.len());
            // Settled is settled: what was not would be delivered again.
            let again = drain(&scene.broker, &scene.namespace, "orders").await?;
            ensure!(again.is_empty(), "{receiver:?} did not settle {again:?}");
        }
        Ok(())
    })
    .await
}

/// A Client's user may do what is declared and nothing else, and these clients say so.
#[tokio::test]
async fn rhea_and_proton_tell_what_is_not_allowed() -> Result<()> {
    let programs = Clients::installed().await?;
    scene("foreign-no", async |scene| {
        let queues: Objects<Queue> = Objects::of(&scene.cluster, &scene.namespace);
        for name in ["own", "other"] {
            queues.create_ready(name, json!({})).await?;
        }
        let access = json!([{"name": "own", "queueRef": {"name": "own"}, "verbs": ["Receive"]}]);
        let clients: Objects<Client> = Objects::of(&scene.cluster, &scene.namespace);
        clients.create_ready("shop", json!({"access": access})).await?;
        let binding = binding(scene, "shop").await?;
        let messages = json!([{"id": "m", "body": "x"}]);
        for program in [Program::Rhea, Program::Proton] {
            for arguments in [["receive", "/queues/other", "1"].as_slice(), ["send", "/exchanges/queue.own"].as_slice()] {
                let answer: Result<Value> = programs.run(program, &binding, arguments, Some(&messages)).await;
                let told = format!("{:#}", answer.err().with_context(|| format!("{program:?} {arguments:?} was allowed"))?);
                ensure!(told.contains("unauthorized-access"), "{program:?} {arguments:?}: {told}");
            }
        }
        Ok(())
    })
    .await
}

/// A filter as a Subscription has it.
enum Filter {
    Sql(&'static str),
    Subject(&'static str),
    Properties(Value),
}

impl Filter {
    fn spec(&self) -> Value {
        let filter = match self {
            Self::Sql(sql) => json!({"sql": sql}),
            Self::Subject(subject) => json!({"subject": subject}),
            Self::Properties(properties) => json!({"properties": properties}),
        };
        json!({"topicRef": {"name": "events"}, "filter": filter})
    }

    /// What core says.
    fn matches(&self, message: &Message) -> Result<bool> {
        let sql = match self {
            Self::Sql(sql) => (*sql).to_owned(),
            Self::Subject(pattern) => {
                let subject = match message.properties.get(&Field::Subject) {
                    Some(Typed::String(subject)) => subject,
                    _ => "",
                };
                return Ok(subject_matches(pattern, subject));
            }
            Self::Properties(properties) => {
                let wanted: BTreeMap<String, Value> = serde_json::from_value(properties.clone())?;
                properties::to_sql(&wanted)?
            }
        };
        let expression = parse(&sql).map_err(|error| anyhow::anyhow!(error.render()))?;
        Ok(expression.matches(message, Timestamp::now()))
    }
}

fn filters() -> Vec<Filter> {
    vec![
        Filter::Sql("number = 5"),
        Filter::Sql("number > 5"),
        Filter::Sql("number IS NOT NULL AND number = -7"),
        Filter::Sql("number = 9007199254740993"),
        Filter::Sql("number >= 2.5 AND number < 3"),
        Filter::Sql("text = 'grüße'"),
        Filter::Sql("text LIKE 'gr_ß%'"),
        Filter::Sql("text IN ('5', 'a''b')"),
        Filter::Sql("flag = TRUE"),
        Filter::Sql("NOT flag"),
        Filter::Sql("flag IS NULL"),
        Filter::Sql("number IS NULL AND text IS NULL"),
        Filter::Sql("time > 1700000000000"),
        Filter::Sql("time = 1700000000000"),
        Filter::Sql("text <> '5' AND number = number"),
        Filter::Sql("[größe] = 'XL'"),
        Filter::Sql("properties.subject LIKE 'orders.%' AND header.priority = 4"),
        Filter::Sql("properties.content_type = 'application/json'"),
        Filter::Sql("properties.group_id = 'g1' AND properties.creation_time > 0"),
        Filter::Subject("orders.*"),
        Filter::Subject("orders.#"),
        Filter::Subject("*.*.created"),
        Filter::Subject("#"),
        Filter::Properties(json!({"number": 5})),
        Filter::Properties(json!({"text": "5"})),
        Filter::Properties(json!({"text": "grüße", "number": -7})),
        Filter::Properties(json!({"properties.content_type": "application/json"})),
    ]
}

/// Property sections, in the form of the table of filters: a value alone is of whatever type the client gives it.
fn messages() -> Vec<Value> {
    let application = [
        json!({"number": 5}),
        json!({"number": {"int": 5}}),
        json!({"number": {"long": 5}}),
        json!({"number": {"double": 5.0}}),
        json!({"number": "5"}),
        json!({"number": {"string": "5"}}),
        json!({"number": 2.5}),
        json!({"number": {"float": 2.5}}),
        json!({"number": -7}),
        json!({"number": {"byte": -7}}),
        json!({"number": {"short": -300}}),
        json!({"number": {"ubyte": 200}}),
        json!({"number": {"ushort": 60000}}),
        json!({"number": {"uint": 4_294_967_295_u32}}),
        json!({"number": {"int": -2_147_483_648}}),
        json!({"number": {"double": 1.0e300}}),
        json!({"number": 0}),
        json!({"number": null}),
        json!({"number": null, "text": null, "flag": null}),
        json!({"text": "5"}),
        json!({"text": {"symbol": "5"}}),
        json!({"text": {"binary": "35"}}),
        json!({"text": "grüße", "number": -7}),
        json!({"text": "grüße"}),
        json!({"text": "a'b"}),
        json!({"text": ""}),
        json!({"text": "日本語 🐇"}),
        json!({"flag": true}),
        json!({"flag": false}),
        json!({"flag": {"boolean": true}}),
        json!({"flag": "true"}),
        json!({"flag": 1}),
        json!({"time": {"timestamp": 1_700_000_000_000_i64}}),
        json!({"time": {"timestamp": 1_700_000_000_001_i64}}),
        json!({"time": {"long": 1_700_000_000_001_i64}}),
        json!({"time": {"timestamp": 0}}),
        json!({"größe": "XL"}),
        json!({"number": {"char": "A"}, "text": {"uuid": "00000000-0000-0000-0000-0000000000ff"}}),
        json!({}),
    ];
    let mut messages: Vec<Value> = application.into_iter().map(|application| json!({"application": application})).collect();
    // JavaScript has no such number: it is told as text.
    messages.push(json!({"application": {"number": {"long": "9007199254740993"}}}));
    messages.push(json!({"application": {"number": {"ulong": "18446744073709551615"}}}));
    for properties in [
        json!({"subject": {"string": "orders"}}),
        json!({"subject": {"string": "orders.nl"}}),
        json!({"subject": {"string": "orders.nl.created"}}),
        json!({"subject": {"string": "ordersx.nl"}}),
        json!({"subject": {"string": "größe.ß.created"}}),
        json!({"content_type": {"symbol": "application/json"}, "group_id": {"string": "g1"}}),
        json!({"creation_time": {"timestamp": 1_700_000_000_000_i64}, "group_id": {"string": "g1"}}),
        json!({"correlation_id": {"string": "c"}, "reply_to": {"string": "/queues/r"}}),
    ] {
        messages.push(json!({"properties": properties, "application": {"number": 5}}));
    }
    for (number, message) in messages.iter_mut().enumerate() {
        message["id"] = json!(format!("m{number}"));
        message["body"] = json!("x");
    }
    messages
}

/// What core is told of such a message.
fn sections(message: &Value) -> Result<Message> {
    let mut sections = json!({"application": message["application"]});
    if message.get("properties").is_some() {
        sections["properties"] = message["properties"].clone();
    }
    for value in sections["application"].as_object_mut().context("no properties")?.values_mut() {
        for kind in ["long", "ulong"] {
            if let Some(text) = value.get(kind).and_then(Value::as_str) {
                *value = json!({kind: serde_json::from_str::<Value>(text)?});
            }
        }
    }
    Ok(serde_json::from_value(sections)?)
}

async fn filters_by(program: Program, label: &str) -> Result<()> {
    let programs = Clients::installed().await?;
    scene(label, async |scene| {
        let topics: Objects<Topic> = Objects::of(&scene.cluster, &scene.namespace);
        let subscriptions: Objects<Subscription> = Objects::of(&scene.cluster, &scene.namespace);
        topics.create_ready("events", json!({"unrouted": "Discard"})).await?;
        let filters = filters();
        let name = |index: usize| format!("s{index}");
        for (index, filter) in filters.iter().enumerate() {
            subscriptions.create(&name(index), filter.spec()).await?;
        }
        for index in 0..filters.len() {
            subscriptions.ready(&name(index), seconds(60)).await?;
        }
        let clients: Objects<Client> = Objects::of(&scene.cluster, &scene.namespace);
        let access = json!([{"name": "events", "topicRef": {"name": "events"}, "verbs": ["Send"]}]);
        clients.create_ready("sender", json!({"access": access})).await?;
        // Several, as what one may receive from is bounded by the length of the names.
        let mut receivers = Vec::new();
        for (number, chunk) in (0..filters.len()).collect::<Vec<_>>().chunks(RIGHTS_AT_ONCE).enumerate() {
            let entry =
                |index: &usize| json!({"name": name(*index), "subscriptionRef": {"name": name(*index)}, "verbs": ["Receive"]});
            let access: Vec<Value> = chunk.iter().map(entry).collect();
            clients.create_ready(&format!("r{number}"), json!({"access": access})).await?;
            receivers.push(binding(scene, &format!("r{number}")).await?);
        }
        let messages = messages();
        let sender = binding(scene, "sender").await?;
        let to = sender.field("address.events")?;
        let outcomes: Vec<String> = programs.run(program, &sender, &["send", &to], Some(&Value::from(messages.clone()))).await?;
        ensure!(outcomes.len() == messages.len() && outcomes.iter().all(|outcome| outcome == "accepted"), "{outcomes:?}");

        let (mut wrong, mut matched) = (Vec::new(), 0);
        for (index, filter) in filters.iter().enumerate() {
            let mut expected = BTreeSet::new();
            for message in &messages {
                if filter.matches(&sections(message)?)? {
                    expected.insert(message["id"].as_str().unwrap_or_default().to_owned());
                }
            }
            ensure!(expected.len() < messages.len() || matches!(filter, Filter::Subject("#")), "{} lets all pass", filter.spec());
            matched += expected.len();
            let receiver = &receivers[index / RIGHTS_AT_ONCE];
            let from = receiver.field(&format!("address.{}", name(index)))?;
            let mut got = Vec::new();
            let queue = format!("subscription.{}.{}", scene.namespace, name(index));
            let there = async || Ok(scene.messages(&queue).await? == Some(i64::try_from(expected.len())?));
            if !expected.is_empty() && holds("its messages", seconds(5), there).await.is_ok() {
                let count = expected.len().to_string();
                let came: Vec<Received> = programs.run(program, receiver, &["receive", &from, &count], None).await?;
                got.extend(came.into_iter().map(|received| received.id));
            }
            // Beyond what was expected, and what was not settled.
            got.extend(drain(&scene.broker, &scene.namespace, &queue).await?);
            let set: BTreeSet<String> = got.iter().cloned().collect();
            if set.len() != got.len() || set != expected {
                let of = |ids: Vec<&String>| -> Vec<&Value> {
                    messages.iter().filter(|message| ids.iter().any(|id| message["id"] == id.as_str())).collect()
                };
                let surplus = of(set.difference(&expected).collect());
                let missing = of(expected.difference(&set).collect());
                wrong.push(format!("{}\n  surplus: {surplus:?}\n  missing: {missing:?}\n  all: {got:?}", filter.spec()));
            }
        }
        ensure!(wrong.is_empty(), "{program:?}: {} filters:\n{}", wrong.len(), wrong.join("\n"));
        println!("{program:?}: {} filters, {} messages, {matched} matches, as core says", filters.len(), messages.len());
        Ok(())
    })
    .await
}

#[tokio::test]
async fn filters_take_messages_of_rhea_as_core_says() -> Result<()> {
    filters_by(Program::Rhea, "rhea").await
}

#[tokio::test]
async fn filters_take_messages_of_proton_as_core_says() -> Result<()> {
    filters_by(Program::Proton, "proton").await
}
