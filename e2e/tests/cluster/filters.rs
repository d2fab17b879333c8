//! The table of filters before a real broker: it is the judge of what core says.
//!
//! Each filter that core takes for valid gets a queue, and each message is sent once, so that every filter meets every
//! message, not only its own.

#[path = "../../../operator/core/tests/filter_table/mod.rs"]
mod filter_table;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use entente_core::filter::{Expression, Message, parse};
use entente_e2e::broker::BrokerAccess;
use entente_e2e::cluster::{Cluster, SYSTEM};
use filter_table::{Case, Expected, cases};
use futures::{StreamExt, TryStreamExt, stream};
use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};

/// Virtual host, and user: messages can only carry the user-id of who sends them.
const HOST: &str = "e2e-filters";
const USER: &str = "filter-cases";
const EXCHANGE: &str = "filters";
const AT_ONCE: usize = 16;

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

    let cases = cases();
    let texts: BTreeSet<String> = cases.iter().map(|case| case.expression.text()).collect();
    let texts: Vec<String> = texts.into_iter().collect();
    let mut messages: Vec<&Message> = Vec::new();
    for case in &cases {
        if !messages.contains(&&case.message) {
            messages.push(&case.message);
        }
    }

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
        let found =
            texts.iter().position(|other| *other == text).and_then(|index| received.get(&index)).map(|received| {
                messages.iter().position(|other| *other == message).is_some_and(|number| received.contains(&number))
            });
        let found = match found {
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
            (Err(_), Some(reason)) if reason.contains("is not a valid SQL filter") => {}
            (Err(_), Some(reason)) => wrong.push(format!("{text}\n  is refused for another reason: {reason}")),
            (Ok(_), Some(reason)) => wrong.push(format!("{text}\n  core takes it; the broker does not: {reason}")),
            (Err(error), None) => wrong.push(format!("{text}\n  the broker takes it; core does not: {error}")),
        }
    }
    Ok(valid)
}

/// Binds a queue by a filter; says why it was refused.
async fn bind(broker: &BrokerAccess, index: usize, filter: &str) -> Result<Option<String>> {
    let queue = queue(index);
    let arguments = json!({"x-queue-type": "classic", "x-expires": 300_000});
    broker.put(&format!("queues/{HOST}/{queue}"), json!({"durable": true, "arguments": arguments})).await?;
    let binding = json!({"routing_key": queue, "arguments": {"x-sql-filter": filter}});
    let (status, body) = broker.post(&format!("bindings/{HOST}/e/{EXCHANGE}/q/{queue}"), binding).await?;
    match status.as_u16() {
        201 => Ok(None),
        400 => Ok(Some(body)),
        _ => anyhow::bail!("binding by {filter}: {status} {body}"),
    }
}

/// Sends every message with its number as body, and waits until the broker is done with them.
async fn send_all(broker: &BrokerAccess, password: &str, messages: &[&Message]) -> Result<()> {
    let mut sender = broker.typed_sender(HOST, (USER, password), &format!("/exchanges/{EXCHANGE}")).await?;
    let mut pending = Vec::with_capacity(messages.len());
    for (number, message) in messages.iter().enumerate() {
        let context = || format!("sending {message:?}");
        let body = number.to_string();
        let posted = tokio::time::timeout(Duration::from_secs(10), sender.post(message, &body));
        pending.push((message, posted.await.with_context(context)?.with_context(context)?));
    }
    for (message, outcome) in pending {
        let context = || format!("sending {message:?}");
        // Accepted or released: some filter may be true for it, or none.
        tokio::time::timeout(Duration::from_secs(10), outcome).await.with_context(context)?.with_context(context)?;
    }
    sender.close().await
}

/// Numbers of the messages in each queue.
async fn receive_all(broker: &BrokerAccess, queues: impl Iterator<Item = usize>) -> Result<BTreeMap<usize, BTreeSet<usize>>> {
    stream::iter(queues)
        .map(|index| async move {
            let wanted = json!({"count": 100_000, "ackmode": "ack_requeue_true", "encoding": "auto"});
            let (status, body) = broker.post(&format!("queues/{HOST}/{}/get", queue(index)), wanted).await?;
            ensure!(status.is_success(), "reading {}: {status} {body}", queue(index));
            let messages: Vec<Value> = serde_json::from_str(&body)?;
            let numbers = messages.iter().map(|message| {
                let number = message["payload"].as_str().context("a message without payload")?;
                Ok(number.parse()?)
            });
            let numbers = numbers.collect::<Result<BTreeSet<usize>>>()?;
            ensure!(numbers.len() == messages.len(), "a message came twice to {}", queue(index));
            Ok((index, numbers))
        })
        .buffer_unordered(AT_ONCE)
        .try_collect()
        .await
}
