//! The table of filters before a real broker: it is the judge of what core says.
//!
//! Each filter that core takes for valid gets a queue, and each message is sent once, so that every filter meets every
//! message, not only its own.

#[path = "../../../operator/core/tests/filter_table/mod.rs"]
mod filter_table;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use entente_broker::amqp::{Connection, address};
use entente_core::filter::{Expression, Message, Value, parse};
use entente_e2e::broker::BrokerAccess;
use entente_e2e::cluster::{Cluster, SYSTEM};
use fe2o3_amqp_types::messaging::{Body, Outcome};
use filter_table::{Case, Expected, cases};
use futures::{StreamExt, TryStreamExt, stream};
use k8s_openapi::jiff::Timestamp;
use serde_json::json;

/// Virtual host, and user: messages can only carry the user-id of who sends them.
const HOST: &str = "e2e-filters";
const USER: &str = "filter-cases";
const EXCHANGE: &str = "filters";
const AT_ONCE: usize = 16;
const LIMIT: Duration = Duration::from_secs(20);

/// Messages with this property go to every queue. They tell which message came before them, where a client cannot
/// read that one, and which is the last.
const MARK: &str = "filter-cases.mark";
const BEFORE: &str = "before me: ";
const END: &str = "the end";

/// What the broker and core say differently, or what one of them says other than the table.
type Disagreements = Vec<String>;

#[tokio::test]
async fn core_and_broker_agree_on_every_filter() -> Result<()> {
    let broker = BrokerAccess::of(&Cluster::connect().await?, SYSTEM, "main").await?;
    clean(&broker).await?;
    let outcome = Box::pin(compare(&broker)).await;
    let cleaned = clean(&broker).await;
    let wrong = outcome?;
    cleaned?;
    ensure!(wrong.is_empty(), "{} disagreements:\n{}", wrong.len(), wrong.join("\n"));
    Ok(())
}

async fn clean(broker: &BrokerAccess) -> Result<()> {
    broker.delete(&format!("vhosts/{HOST}")).await?;
    broker.delete(&format!("users/{USER}")).await
}

async fn compare(broker: &BrokerAccess) -> Result<Disagreements> {
    let password = format!("{:?}", std::time::SystemTime::now());
    broker.put(&format!("vhosts/{HOST}"), json!({})).await?;
    broker.put(&format!("users/{USER}"), json!({"password": password, "tags": ""})).await?;
    let all = json!({"configure": ".*", "write": ".*", "read": ".*"});
    for user in [USER, &broker.username] {
        broker.put(&format!("permissions/{HOST}/{user}"), all.clone()).await?;
    }
    broker.put(&format!("exchanges/{HOST}/{EXCHANGE}"), json!({"type": "x-sql", "durable": true})).await?;

    let cases = cases().map_err(anyhow::Error::msg)?;
    let texts: BTreeSet<String> = cases.iter().map(|case| case.expression.text()).collect();
    let texts: Vec<String> = texts.into_iter().collect();
    // Told apart by how they are shown: what is not a number is not equal to itself.
    let messages: BTreeMap<String, &Message> = cases.iter().map(|case| (format!("{:?}", case.message), &case.message)).collect();
    let numbers: BTreeMap<&str, usize> = messages.keys().enumerate().map(|(number, shown)| (shown.as_str(), number)).collect();
    let messages: Vec<&Message> = messages.values().copied().collect();

    let mut wrong = Disagreements::new();
    let valid = bind_all(broker, &texts, &mut wrong).await?;
    send_all(broker, &password, &messages).await?;
    let received = receive_all(broker, valid.keys().copied()).await?;

    for (index, expression) in &valid {
        for (number, message) in messages.iter().enumerate() {
            let (core, broker) = (expression.matches(message, Timestamp::now()), received[index].contains(&number));
            if core != broker {
                wrong.push(format!("{}\n  with {message:?}\n  core: {core}, broker: {broker}", texts[*index]));
            }
        }
    }
    for Case { expression, message, expected } in &cases {
        let text = expression.text();
        let number = numbers.get(format!("{message:?}").as_str()).context("a message that was not sent")?;
        let received = texts.binary_search(&text).ok().and_then(|index| received.get(&index));
        let found = match received.map(|received| received.contains(number)) {
            None => Expected::Invalid,
            Some(true) => Expected::Match,
            Some(false) => Expected::Nomatch,
        };
        if found != *expected {
            wrong.push(format!("{text}\n  with {message:?}\n  table: {expected:?}, broker: {found:?}"));
        }
    }
    println!("filters: {} valid of {}, each with {} messages", valid.len(), texts.len(), messages.len());
    Ok(wrong)
}

fn queue(index: usize) -> String {
    format!("q{index}")
}

/// Makes a queue for each filter, and returns those filters that both take.
async fn bind_all(broker: &BrokerAccess, texts: &[String], wrong: &mut Disagreements) -> Result<BTreeMap<usize, Expression>> {
    let bound: Vec<(usize, Option<String>)> = stream::iter(texts.iter().enumerate())
        .map(|(index, text)| async move { Ok::<_, anyhow::Error>((index, bind(broker, index, text).await?)) })
        .buffer_unordered(AT_ONCE)
        .try_collect()
        .await?;
    let mut valid = BTreeMap::new();
    for (index, refusal) in bound {
        let text = &texts[index];
        match (parse(text), refusal) {
            (Ok(expression), None) => {
                valid.insert(index, expression);
            }
            (Err(_), Some(reason)) if reason.starts_with("400 ") && reason.contains("is not a valid SQL filter") => {}
            (Err(_), Some(reason)) => wrong.push(format!("{text}\n  is refused, but not as invalid: {reason}")),
            (Ok(_), Some(reason)) => wrong.push(format!("{text}\n  core takes it; the broker does not: {reason}")),
            (Err(error), None) => wrong.push(format!("{text}\n  the broker takes it; core does not: {error}")),
        }
    }
    Ok(valid)
}

/// Makes a queue, bound by a filter and for marks; says why the filter was refused.
async fn bind(broker: &BrokerAccess, index: usize, filter: &str) -> Result<Option<String>> {
    let queue = queue(index);
    let arguments = json!({"x-queue-type": "classic", "x-expires": 300_000});
    broker.put(&format!("queues/{HOST}/{queue}"), json!({"durable": true, "arguments": arguments})).await?;
    let path = format!("bindings/{HOST}/e/{EXCHANGE}/q/{queue}");
    for (key, filter) in [("filter", filter), ("marks", &format!("[{MARK}] IS NOT NULL"))] {
        let (status, body) = broker.post(&path, json!({"routing_key": key, "arguments": {"x-sql-filter": filter}})).await?;
        if status.as_u16() != 201 {
            return Ok(Some(format!("{status} {body}")));
        }
    }
    Ok(None)
}

/// Sends every message with its number as body, a mark after each that only the broker can read, and a last mark.
async fn send_all(broker: &BrokerAccess, password: &str, messages: &[&Message]) -> Result<()> {
    let mut sender = broker.typed_sender(HOST, (USER, password), &format!("/exchanges/{EXCHANGE}")).await?;
    let mark = Message { application: BTreeMap::from([(MARK.to_owned(), Value::Boolean(true))]), ..Message::default() };
    let mut all = Vec::new();
    for (number, message) in messages.iter().enumerate() {
        all.push((*message, number.to_string()));
        if message.application.values().any(|value| matches!(value, Value::List(_) | Value::Array(_))) {
            all.push((&mark, format!("{BEFORE}{number}")));
        }
    }
    all.push((&mark, END.to_owned()));
    let mut pending = Vec::with_capacity(all.len());
    for (message, body) in &all {
        let context = || format!("sending {message:?}");
        let posted = tokio::time::timeout(LIMIT, sender.post(message, body)).await;
        pending.push((message, posted.with_context(context)?.with_context(context)?));
    }
    for (message, outcome) in pending {
        let context = || format!("sending {message:?}");
        // Accepted or released: some filter may be true for it, or none.
        let outcome = tokio::time::timeout(LIMIT, outcome).await.with_context(context)?.with_context(context)?;
        ensure!(!matches!(outcome, Outcome::Rejected(_)), "sending {message:?}: {outcome:?}");
    }
    sender.close().await
}

/// Numbers of the messages in each queue.
async fn receive_all(broker: &BrokerAccess, queues: impl Iterator<Item = usize>) -> Result<BTreeMap<usize, BTreeSet<usize>>> {
    let connection = broker.connect(HOST).await?;
    let received = stream::iter(queues)
        .map(|index| {
            let connection = &connection;
            async move { Ok::<_, anyhow::Error>((index, receive(connection, index).await.with_context(|| queue(index))?)) }
        })
        .buffer_unordered(AT_ONCE)
        .try_collect()
        .await?;
    connection.close().await?;
    Ok(received)
}

async fn receive(connection: &Connection, index: usize) -> Result<BTreeSet<usize>> {
    let mut receiver = connection.receiver(&address::queue(&queue(index)), 5_000).await?;
    let mut numbers = BTreeSet::new();
    let mut unreadable = 0;
    loop {
        let delivery = receiver.recv_timeout(LIMIT).await?;
        let Ok(content) = delivery.content else {
            unreadable += 1;
            continue;
        };
        let Body::Data(sections) = &content.body else { bail!("a message without data came") };
        let body: Vec<u8> = sections.iter().flat_map(|section| section.0.iter().copied()).collect();
        let body = String::from_utf8(body)?;
        let number = match body.strip_prefix(BEFORE) {
            Some(_) if unreadable == 0 => continue,
            Some(number) => {
                unreadable -= 1;
                number
            }
            None if body == END => break,
            None => &body,
        };
        ensure!(unreadable == 0, "what came before {body} cannot be told");
        ensure!(numbers.insert(number.parse()?), "message {number} came twice");
    }
    receiver.close().await?;
    Ok(numbers)
}
