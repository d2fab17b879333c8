//! Connections from some hosts, and what they hold.
//!
//! RabbitMQ tells where a connection comes from in the list of connections, and the messages that are not settled in the sessions of one
//! AMQP 1.0 connection (`/api/connections/<name>/sessions`, seen from 4.3; `/api/consumers` knows neither for AMQP 1.0). Of other protocols
//! nothing is asked: what a channel holds is told seconds late.

use std::collections::BTreeSet;
use std::net::IpAddr;

use entente_core::scaling::deletion::Connected;
use futures::{StreamExt, TryStreamExt, stream};
use serde::Deserialize;

use super::http::{Http, path};
use super::senders::AMQP;
use crate::admin::AdminError;

/// Connections that are asked about at once, and in all. What the others hold is not told.
const AT_ONCE: usize = 8;
const MOST: usize = 256;

#[derive(Debug, Deserialize)]
struct Connection {
    name: String,
    /// Absent while a connection opens.
    protocol: Option<String>,
    peer_host: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Session {
    outgoing_unsettled_deliveries: Option<u64>,
    #[serde(default)]
    outgoing_links: Vec<Outgoing>,
}

/// A link by which somebody receives.
#[derive(Debug, Deserialize)]
struct Outgoing {
    queue_name: Option<String>,
}

pub async fn read(http: &Http, virtual_host: &str, hosts: &BTreeSet<IpAddr>) -> Result<Vec<Connected>, AdminError> {
    let list = path(&["vhosts", virtual_host, "connections"])?.with_query("columns=name,protocol,peer_host");
    let connections: Vec<Connection> = match http.get(&list).await {
        // No virtual host, no connection.
        Err(AdminError::NotFound(_)) => return Ok(Vec::new()),
        other => other?,
    };
    let from_them = connections.into_iter().filter_map(|connection| {
        let host = peer(&connection).filter(|host| hosts.contains(host))?;
        Some((host, connection))
    });
    let asked = stream::iter(from_them.enumerate().map(|(number, (host, connection))| of(http, host, connection, number < MOST)));
    let found: Vec<Option<Connected>> = asked.buffer_unordered(AT_ONCE).try_collect().await?;
    Ok(found.into_iter().flatten().collect())
}

/// A dual-stack listener may show an IPv4 address as an IPv6 one.
fn peer(connection: &Connection) -> Option<IpAddr> {
    let host: IpAddr = connection.peer_host.as_deref()?.parse().ok()?;
    Some(host.to_canonical())
}

async fn of(http: &Http, host: IpAddr, connection: Connection, ask: bool) -> Result<Option<Connected>, AdminError> {
    let Connection { name, protocol, peer_host: _ } = connection;
    if !ask || protocol.as_deref() != Some(AMQP) {
        return Ok(Some(Connected { host, queues: Vec::new(), unsettled: None }));
    }
    match http.get::<Vec<Session>>(&path(&["connections", &name, "sessions"])?).await {
        Ok(sessions) => Ok(Some(connected(host, sessions))),
        // It ended meanwhile.
        Err(AdminError::NotFound(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

fn connected(host: IpAddr, sessions: Vec<Session>) -> Connected {
    let mut held = sessions.iter().map(|session| session.outgoing_unsettled_deliveries);
    let unsettled = held.try_fold(0_u64, |sum, more| Some(sum.saturating_add(more?)));
    let links = sessions.into_iter().flat_map(|session| session.outgoing_links);
    Connected { host, queues: links.filter_map(|link| link.queue_name).collect(), unsettled }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(sessions: serde_json::Value) -> Connected {
        connected(IpAddr::from([10, 0, 0, 1]), serde_json::from_value(sessions).unwrap())
    }

    /// As RabbitMQ 4.3 answers.
    #[test]
    fn what_sessions_hold_is_added_up() {
        let found = of(json!([
            {"channel_number": 0, "outgoing_unsettled_deliveries": 2, "incoming_links": [],
                "outgoing_links": [{"handle": 0, "source_address": "/queues/q", "queue_name": "q", "send_settled": false, "credit": 196}]},
            {"channel_number": 1, "outgoing_unsettled_deliveries": 1},
        ]));
        assert_eq!((found.queues, found.unsettled), (vec!["q".to_owned()], Some(3)));
        assert_eq!(of(json!([])).unsettled, Some(0));
    }

    #[test]
    fn i5_what_a_session_does_not_tell_is_not_none() {
        assert_eq!(of(json!([{"channel_number": 0}, {"outgoing_unsettled_deliveries": 0}])).unsettled, None);
    }

    #[test]
    fn a_mapped_address_is_the_same_host() {
        let connection = |host: &str| Connection { name: String::new(), protocol: None, peer_host: Some(host.to_owned()) };
        assert_eq!(peer(&connection("::ffff:10.0.0.1")), Some(IpAddr::from([10, 0, 0, 1])));
        assert_eq!(peer(&connection("unknown")), None);
    }
}
