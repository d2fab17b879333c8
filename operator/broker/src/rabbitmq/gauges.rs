//! Depths of all queues that one node leads, in one read.
//!
//! Source: `/metrics/detailed` of the prometheus plugin (RabbitMQ 4.3, families `queue_coarse_metrics` and `queue_consumer_count`). The figures
//! of a quorum queue are those of its leader's last tick (`quorum_tick_interval`). A node may go on showing figures of a queue that it
//! no longer leads: `queue_info` says whose word counts.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use reqwest::{Client, Url};

use super::http::{self, ConnectError};
use crate::admin::AdminError;

/// Beyond so many virtual hosts all of them are read: a longer URL might be refused.
const VIRTUAL_HOSTS: usize = 50;
const PREFIX: &str = "rabbitmq_detailed_queue_";

/// A queue: virtual host and name.
pub type QueueName = (String, String);

/// What a queue's leader says of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gauge {
    /// Messages ready for delivery.
    pub ready: u64,
    /// Messages delivered and not yet settled.
    pub unacknowledged: u64,
    /// Consumers.
    pub consumers: u32,
}

/// One node's metrics.
#[derive(Debug)]
pub struct NodeGauges {
    client: Client,
    url: Url,
}

impl NodeGauges {
    /// `url` is that of the node's metrics, such as `https://main-broker-0.main-nodes.messaging.svc.cluster.local:15691`. Nothing is sent yet.
    pub fn new(url: &str, ca_pem: Option<&[u8]>, timeout: Duration) -> Result<Self, ConnectError> {
        let url = Url::parse(url).and_then(|url| url.join("/metrics/detailed")).map_err(|_| ConnectError::Uri(url.to_owned()))?;
        let client = http::client(ca_pem)?.timeout(timeout).build().map_err(ConnectError::Client)?;
        Ok(Self { client, url })
    }

    /// The queues of these virtual hosts that this node leads.
    pub async fn read(&self, virtual_hosts: &BTreeSet<String>) -> Result<BTreeMap<QueueName, Gauge>, AdminError> {
        let mut url = self.url.clone();
        {
            let mut query = url.query_pairs_mut();
            query.append_pair("family", "queue_coarse_metrics").append_pair("family", "queue_consumer_count");
            if virtual_hosts.len() <= VIRTUAL_HOSTS {
                for host in virtual_hosts {
                    query.append_pair("vhost", host);
                }
            }
        }
        let unreachable = |error: reqwest::Error| AdminError::Unreachable(error.without_url().to_string());
        let response = self.client.get(url).send().await.map_err(unreachable)?;
        let status = response.status();
        if !status.is_success() {
            return Err(AdminError::Failed { status: status.as_u16(), reason: "no metrics".to_owned() });
        }
        Ok(led(&response.text().await.map_err(unreachable)?))
    }
}

/// The queues that the node leads, by its own word, of which it tells a depth.
fn led(text: &str) -> BTreeMap<QueueName, Gauge> {
    let mut seen: BTreeMap<QueueName, (Gauge, bool, bool)> = BTreeMap::new();
    for line in text.lines() {
        let Some((figure, labels, value)) = parts(line) else { continue };
        let Some(name) = name(labels) else { continue };
        let (gauge, told, leads) = seen.entry(name).or_default();
        match figure {
            "messages_ready" => {
                gauge.ready = whole(value);
                *told = true;
            }
            "messages_unacked" => gauge.unacknowledged = whole(value),
            "consumers" => gauge.consumers = u32::try_from(whole(value)).unwrap_or(u32::MAX),
            // A classic queue has no membership: its figures are on its one node alone.
            "info" => {
                *leads = label(labels, "membership").is_none_or(|membership| membership == "leader" || membership.is_empty());
            }
            _ => {}
        }
    }
    seen.into_iter().filter(|(_, (_, told, leads))| *told && *leads).map(|(name, (gauge, ..))| (name, gauge)).collect()
}

/// `rabbitmq_detailed_queue_<figure>{<labels>} <value>`.
fn parts(line: &str) -> Option<(&str, &str, &str)> {
    let (figure, rest) = line.strip_prefix(PREFIX)?.split_once('{')?;
    // A value holds no brace, a label may.
    let (labels, value) = rest.rsplit_once('}')?;
    Some((figure, labels, value.trim()))
}

fn name(labels: &str) -> Option<QueueName> {
    Some((label(labels, "vhost")?, label(labels, "queue")?))
}

/// A label's value, without the escapes of the exposition format.
fn label(labels: &str, wanted: &str) -> Option<String> {
    let mut rest = labels;
    loop {
        let (name, tail) = rest.split_once("=\"")?;
        let mut value = String::new();
        let mut escaped = false;
        let mut end = None;
        for (at, character) in tail.char_indices() {
            match (escaped, character) {
                (false, '\\') => escaped = true,
                (false, '"') => {
                    end = Some(at);
                    break;
                }
                (true, 'n') => {
                    value.push('\n');
                    escaped = false;
                }
                (_, other) => {
                    value.push(other);
                    escaped = false;
                }
            }
        }
        if name.trim_start_matches(',') == wanted {
            return Some(value);
        }
        rest = &tail[end? + 1..];
    }
}

/// Figures are written as floats. What is no number, or negative, counts as nothing.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // `as` saturates, and maps NaN to 0
fn whole(value: &str) -> u64 {
    value.parse::<f64>().unwrap_or_default() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    const NODE: &str = r#"
# TYPE rabbitmq_detailed_queue_messages_ready gauge
rabbitmq_detailed_queue_messages_ready{vhost="shop",queue="work"} 310
rabbitmq_detailed_queue_messages_unacked{vhost="shop",queue="work"} 7.0
rabbitmq_detailed_queue_messages_ready{vhost="shop",queue="old"} 99
rabbitmq_detailed_queue_consumers{vhost="shop",queue="work"} 2
rabbitmq_detailed_queue_messages_ready{vhost="shop",queue="plain"} 1
rabbitmq_detailed_queue_info{vhost="shop",queue="work",queue_type="rabbit_quorum_queue",membership="leader"} 1
rabbitmq_detailed_queue_info{vhost="shop",queue="old",queue_type="rabbit_quorum_queue",membership="follower"} 1
rabbitmq_detailed_queue_info{vhost="shop",queue="plain",queue_type="rabbit_classic_queue"} 1
rabbitmq_detailed_queue_info{vhost="shop",queue="new",queue_type="rabbit_quorum_queue",membership="leader"} 1
rabbitmq_build_info{rabbitmq_version="4.3.6"} 1
"#;

    fn named(queue: &str) -> QueueName {
        ("shop".to_owned(), queue.to_owned())
    }

    #[test]
    fn the_leaders_word_counts() {
        let led = led(NODE);
        assert_eq!(led.get(&named("work")), Some(&Gauge { ready: 310, unacknowledged: 7, consumers: 2 }));
        assert_eq!(led.get(&named("plain")), Some(&Gauge { ready: 1, ..Gauge::default() }));
        assert!(!led.contains_key(&named("old")), "what a follower remembers is old");
    }

    #[test]
    fn i5_a_leader_that_has_told_no_depth_yet_has_not_told_zero() {
        assert!(!led(NODE).contains_key(&named("new")));
    }

    #[test]
    fn names_hold_anything() {
        let text = concat!(
            r#"rabbitmq_detailed_queue_messages_ready{vhost="a\"}b\\",queue="x,queue=\"y\"\n"} 3"#,
            "\n",
            r#"rabbitmq_detailed_queue_info{vhost="a\"}b\\",queue="x,queue=\"y\"\n",membership="leader"} 1"#
        );
        let name = ("a\"}b\\".to_owned(), "x,queue=\"y\"\n".to_owned());
        assert_eq!(led(text), BTreeMap::from([(name, Gauge { ready: 3, ..Gauge::default() })]));
    }

    #[test]
    fn nonsense_is_nothing() {
        for line in
            ["", "{", "rabbitmq_detailed_queue_info{vhost=\"a", "rabbitmq_detailed_queue_messages_ready{} 1", "\u{0}}{\"="]
        {
            assert!(led(line).is_empty(), "{line}");
        }
        assert_eq!((whole("NaN"), whole("-1"), whole("1e3"), whole("")), (0, 0, 1000, 0));
    }
}
