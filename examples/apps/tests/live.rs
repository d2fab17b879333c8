//! The program and the library against a real broker, RabbitMQ 4.3 or newer.
//!
//! Ignored unless asked for, since they need:
//! `ENTENTE_TEST_AMQP_URI` such as `amqp://user:password@host:5672`, a user with the tag
//! administrator, and `ENTENTE_TEST_MANAGEMENT_URI` such as `http://host:15672`; for the
//! event stream `event_exchange.protocol = amqp_1_0` and the plugin.
//! `cargo test -p entente-apps --test live -- --ignored`

// The exception clippy.toml makes for tests does not reach their helpers.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic)]

mod common;

use std::{env, sync::Arc, time::Duration};

use common::{apps, run, terminate, wait};
use entente_broker::amqp::{
    ConnectOptions, Connection, Error, EventStream, OptionsSource, Outcome, Outgoing, Pipeline, ReconnectPolicy,
    ReconnectingSender, Settlement, WhenUnknown, address,
};
use serde_json::json;

const LIMIT: Duration = Duration::from_mins(1);

/// A virtual host of its own, deleted afterwards.
struct Broker {
    amqp: String,
    options: ConnectOptions,
    http: reqwest::Client,
    management: String,
    vhost: String,
}

impl Broker {
    async fn new(name: &str) -> Self {
        // The second test of this process finds it installed.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let amqp = env::var("ENTENTE_TEST_AMQP_URI").expect("ENTENTE_TEST_AMQP_URI");
        let management = env::var("ENTENTE_TEST_MANAGEMENT_URI").expect("ENTENTE_TEST_MANAGEMENT_URI");
        let rest = amqp.strip_prefix("amqp://").expect("amqp://");
        let (credentials, target) = rest.split_once('@').expect("user:password@");
        let (username, password) = credentials.split_once(':').expect("user:password");
        let (host, port) = target.split_once(':').expect("host:port");
        let vhost = format!("entente-test-{name}-{}", std::process::id());
        let mut options = ConnectOptions::new(host, port.parse().expect("port"), username, password);
        options.virtual_host.clone_from(&vhost);
        // The broker closes idle connections while the programs run; a kept one would fail.
        let http = reqwest::Client::builder().pool_max_idle_per_host(0).build().expect("client");
        let broker = Self { options, http, management, vhost, amqp: amqp.clone() };
        broker.put(&format!("vhosts/{}", broker.vhost), json!({})).await;
        let all = json!({"configure": ".*", "write": ".*", "read": ".*"});
        broker.put(&format!("permissions/{}/{username}", broker.vhost), all).await;
        broker
    }

    async fn request(&self, method: reqwest::Method, path: &str, body: serde_json::Value) {
        let url = format!("{}/api/{path}", self.management);
        let request = self.http.request(method, url).json(&body);
        let answer = request.basic_auth(&self.options.username, Some(&self.options.password)).send().await.expect(path);
        assert!(answer.status().is_success(), "{path}: {}", answer.status());
    }

    async fn put(&self, path: &str, body: serde_json::Value) {
        self.request(reqwest::Method::PUT, path, body).await;
    }

    async fn delete(&self, path: &str) {
        self.request(reqwest::Method::DELETE, path, json!({})).await;
    }

    /// Closes a connection to this virtual host, as an administrator would.
    async fn throw_out(&self) {
        let list = format!("{}/api/vhosts/{}/connections", self.management, self.vhost);
        loop {
            let request = self.http.get(&list).basic_auth(&self.options.username, Some(&self.options.password));
            let connections: serde_json::Value = request.send().await.expect("list").json().await.expect("JSON");
            if let Some(name) = connections[0]["name"].as_str() {
                self.delete(&format!("connections/{}", name.replace(' ', "%20").replace('>', "%3E"))).await;
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    async fn queue(&self, name: &str, mut arguments: serde_json::Value) {
        arguments["x-queue-type"] = json!("quorum");
        self.put(&format!("queues/{}/{name}", self.vhost), json!({"durable": true, "arguments": arguments})).await;
    }

    fn environment(&self) -> Vec<(&str, &str)> {
        vec![("ENTENTE_AMQP_URI", &self.amqp), ("ENTENTE_VHOST", &self.vhost), ("ENTENTE_GIVE_UP_AFTER", "1s")]
    }

    async fn end(self) {
        self.delete(&format!("vhosts/{}", self.vhost)).await;
    }
}

#[tokio::test]
#[ignore = "needs a broker"]
async fn ten_thousand_messages_come_through() {
    let broker = Broker::new("through").await;
    broker.queue("q", json!({})).await;
    let arguments = ["--queue", "q", "--count", "10000", "--timeout", "50s"];
    let produced = run(&[&["produce"], &arguments[..]].concat(), &broker.environment(), LIMIT);
    assert_eq!((produced.code, produced.number("accepted")), (Some(0), 10_000), "{}", produced.stderr);
    let consumed = run(&[&["consume"], &arguments[..]].concat(), &broker.environment(), LIMIT);
    assert_eq!((consumed.code, consumed.number("unique")), (Some(0), 10_000), "{}", consumed.stderr);
    assert_eq!((consumed.number("duplicates"), consumed.number("missing")), (0, 0));
    println!("{}{}", produced.stdout, consumed.stdout);
    broker.end().await;
}

#[tokio::test]
#[ignore = "needs a broker"]
async fn a_producer_that_is_terminated_knows_all_its_outcomes() {
    let broker = Broker::new("terminated").await;
    broker.queue("q", json!({})).await;
    let child = apps(&["produce", "--queue", "q", "--rate", "500"], &broker.environment()).spawn().unwrap();
    tokio::time::sleep(Duration::from_secs(2)).await;
    terminate(&child);
    let ended = wait(child, Duration::from_secs(10));
    assert_eq!((ended.code, ended.number("unknown")), (Some(0), 0), "{}", ended.stderr);
    let count = ended.number("accepted").to_string();
    let consumed = run(&["consume", "--queue", "q", "--count", &count, "--timeout", "20s"], &broker.environment(), LIMIT);
    assert_eq!((consumed.code, consumed.number("missing")), (Some(0), 0), "{}", consumed.stderr);
    broker.end().await;
}

#[tokio::test]
#[ignore = "needs a broker"]
async fn refusals_have_names() {
    let broker = Broker::new("refusals").await;
    let unknown = run(&["consume", "--queue", "nothing", "--count", "1"], &broker.environment(), LIMIT);
    assert_eq!(unknown.code, Some(1));
    assert!(unknown.stderr.contains("amqp:not-found") && unknown.stderr.contains("no queue 'nothing'"), "{}", unknown.stderr);

    let mut wrong = broker.options.clone();
    wrong.password = "wrong".to_owned();
    assert!(matches!(Connection::connect(&wrong).await, Err(Error::Unauthorized { .. })));

    let mut wrong = broker.options.clone();
    wrong.virtual_host = "no such".to_owned();
    let error = Connection::connect(&wrong).await.unwrap_err();
    assert!(matches!(&error, Error::Refused { description, .. } if description.contains("no such")), "{error:?}");
    broker.end().await;
}

#[tokio::test]
#[ignore = "needs a broker"]
async fn every_outcome_is_told() {
    let broker = Broker::new("outcomes").await;
    broker.queue("small", json!({"x-max-length": 1, "x-overflow": "reject-publish"})).await;
    let connection = Connection::connect(&broker.options).await.unwrap();

    let mut nowhere = connection.sender(&address::exchange("amq.topic", "nobody.listens")).await.unwrap();
    assert_eq!(nowhere.send(Outgoing::new("1", "x")).await, Ok(Outcome::Released));
    nowhere.close().await.unwrap();

    let mut small = connection.sender(&address::queue("small")).await.unwrap();
    assert_eq!(small.send(Outgoing::new("2", "x")).await, Ok(Outcome::Accepted));
    // A quorum queue takes some more before it notices that it is full.
    let mut outcome = Outcome::Accepted;
    for number in 0..200 {
        outcome = small.send(Outgoing::new(number.to_string(), "x")).await.unwrap();
        if !outcome.is_accepted() {
            break;
        }
    }
    assert!(matches!(outcome, Outcome::Rejected { .. }), "{outcome:?}");
    small.close().await.unwrap();

    broker.queue("large", json!({})).await;
    let mut pipeline = Pipeline::new(connection.sender(&address::queue("large")).await.unwrap(), 100);
    for ticket in 0..100 {
        assert!(pipeline.has_room());
        pipeline.post(ticket, Outgoing::new(ticket.to_string(), "x")).await.unwrap();
    }
    assert!(!pipeline.has_room());
    for settled in 1..=100 {
        let (_, outcome) = pipeline.settled().await.unwrap().unwrap();
        assert_eq!((outcome, pipeline.unsettled()), (Outcome::Accepted, 100 - settled));
    }
    assert_eq!(pipeline.settled().await, Ok(None));
    pipeline.close().await.unwrap();
    connection.close().await.unwrap();
    broker.end().await;
}

#[tokio::test]
#[ignore = "needs a broker"]
async fn deliveries_can_be_settled_in_every_way() {
    let broker = Broker::new("settled").await;
    broker.queue("dead", json!({})).await;
    let dead_letters = json!({"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "dead"});
    broker.queue("q", dead_letters).await;
    let connection = Connection::connect(&broker.options).await.unwrap();
    let mut sender = connection.sender(&address::queue("q")).await.unwrap();
    for id in ["1", "2"] {
        assert!(sender.send(Outgoing::new(id, "x")).await.unwrap().is_accepted());
    }
    let mut receiver = connection.receiver(&address::queue("q"), 1).await.unwrap();
    let limit = Duration::from_secs(5);

    let first = receiver.recv_timeout(limit).await.unwrap();
    assert_eq!((first.message_id().as_deref(), first.delivery_count(), first.body_len()), (Some("1"), 0, 1));
    receiver.modify(&first, true, false).await.unwrap();
    let second = receiver.recv_timeout(limit).await.unwrap();
    receiver.reject(&second, "not wanted").await.unwrap();
    let third = receiver.recv_timeout(limit).await.unwrap();
    receiver.release(&third).await.unwrap();
    let fourth = receiver.recv_timeout(limit).await.unwrap();
    assert_eq!(fourth.message_id(), third.message_id());
    receiver.accept(&fourth).await.unwrap();
    let error = receiver.recv_timeout(Duration::from_millis(500)).await.unwrap_err();
    assert!(matches!(error, Error::Timeout { .. }), "nothing is left: {error:?}");

    let mut dead = connection.receiver(&address::queue("dead"), 1).await.unwrap();
    let rejected = dead.recv_timeout(limit).await.unwrap();
    assert_eq!(rejected.message_id(), second.message_id(), "{:?}", rejected.content);
    dead.accept(&rejected).await.unwrap();
    receiver.close().await.unwrap();
    dead.close().await.unwrap();
    connection.close().await.unwrap();
    broker.end().await;
}

#[tokio::test]
#[ignore = "needs a broker"]
async fn a_queue_that_is_deleted_ends_its_links_at_once() {
    let broker = Broker::new("deleted").await;
    broker.queue("q", json!({})).await;
    let connection = Connection::connect(&broker.options).await.unwrap();
    let mut receiver = connection.receiver(&address::queue("q"), 10).await.unwrap();
    broker.delete(&format!("queues/{}/q", broker.vhost)).await;
    let error = receiver.recv_timeout(Duration::from_secs(5)).await.unwrap_err();
    assert!(matches!(error, Error::Refused { .. }), "{error:?}");
    assert!(connection.is_open(), "the connection is not the link's");
    connection.close().await.unwrap();
    broker.end().await;
}

/// Posts while the broker throws the client out; returns accepted and unknown.
async fn post_while_thrown_out(broker: &Broker, queue: &str, when_unknown: WhenUnknown) -> (u64, u64) {
    let options = broker.options.clone();
    let source: OptionsSource = Arc::new(move || Ok(options.clone()));
    let mut sender = ReconnectingSender::new(source, address::queue(queue), 50, when_unknown, ReconnectPolicy::default());
    let (mut posted, mut accepted, mut unknown) = (0_u64, 0, 0);
    let throwing_out = broker.throw_out();
    tokio::pin!(throwing_out);
    let mut thrown_out = false;
    while sender.reconnections() == 0 {
        if sender.has_room() {
            Box::pin(sender.post(Outgoing::new(posted.to_string(), "x"))).await.unwrap();
            posted += 1;
        }
        tokio::select! {
            () = &mut throwing_out, if !thrown_out => thrown_out = true,
            settled = sender.settled() => match settled.unwrap().map(|settled| settled.settlement) {
                Some(Settlement::Known(Outcome::Accepted)) => accepted += 1,
                Some(Settlement::Unknown(_)) => unknown += 1,
                Some(other) => panic!("{other:?}"),
                None => {}
            },
        }
    }
    while let Some(settled) = sender.settled().await.unwrap() {
        match settled.settlement {
            Settlement::Known(Outcome::Accepted) => accepted += 1,
            Settlement::Unknown(_) => unknown += 1,
            Settlement::Known(other) => panic!("{other:?}"),
        }
    }
    assert_eq!(accepted + unknown, posted, "every message is accounted for once");
    assert_eq!(sender.reconnections(), 1);
    sender.close().await.unwrap();
    (accepted, unknown)
}

#[tokio::test]
#[ignore = "needs a broker"]
async fn a_sender_that_is_thrown_out_comes_back_and_accounts_for_everything() {
    let broker = Broker::new("thrown-out").await;
    broker.queue("resend", json!({})).await;
    let (accepted, unknown) = Box::pin(post_while_thrown_out(&broker, "resend", WhenUnknown::Resend)).await;
    assert!(accepted > 0 && unknown == 0, "{accepted} {unknown}");
    broker.queue("report", json!({})).await;
    let (accepted, unknown) = Box::pin(post_while_thrown_out(&broker, "report", WhenUnknown::Report)).await;
    println!("reported: accepted {accepted}, unknown {unknown}");
    broker.end().await;
}

#[tokio::test]
#[ignore = "needs a broker"]
async fn events_tell_of_a_queue_made_and_deleted() {
    let broker = Broker::new("events").await;
    let queue = format!("entente-test-events-{}", std::process::id());
    let declaration = json!({"durable": true, "arguments": {"x-queue-type": "quorum"}});
    broker.put(&format!("queues/%2F/{queue}"), declaration).await;
    let binding = format!("bindings/%2F/e/amq.rabbitmq.event/q/{queue}");
    broker.request(reqwest::Method::POST, &binding, json!({"routing_key": "queue.*"})).await;
    let mut options = broker.options.clone();
    options.virtual_host = "/".to_owned();
    let mut events = EventStream::connect(&options, &queue).await.unwrap();

    broker.queue("made", json!({})).await;
    broker.delete(&format!("queues/{}/made", broker.vhost)).await;
    let mut seen = Vec::new();
    while seen.len() < 2 {
        let event = tokio::time::timeout(Duration::from_secs(10), events.next()).await.expect("in time").unwrap();
        if event.virtual_host.as_deref() == Some(broker.vhost.as_str()) && event.name.as_deref() == Some("made") {
            assert!(event.at.is_some());
            seen.push(event.kind);
        }
    }
    assert_eq!(seen, ["queue.created", "queue.deleted"]);
    events.close().await.unwrap();
    broker.delete(&format!("queues/%2F/{queue}")).await;
    broker.end().await;
}
