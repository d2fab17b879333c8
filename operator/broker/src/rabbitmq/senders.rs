//! Who may be sending in a virtual host.
//!
//! RabbitMQ tells the links of AMQP 1.0 connections one connection at a time (`/api/connections/<name>/sessions`, seen from 4.3), and
//! of other protocols only that there is a connection. The list of connections is some seconds old.

use entente_core::contract::usage::Sender;
use futures::{StreamExt, TryStreamExt, stream};
use serde::Deserialize;

use super::http::{Http, path};
use crate::admin::AdminError;

/// Connections that are asked about at once.
const AT_ONCE: usize = 4;
/// As the list of connections has it.
pub const AMQP: &str = "AMQP 1-0";

#[derive(Debug, Deserialize)]
struct Connection {
    name: String,
    /// Absent while a connection opens.
    protocol: Option<String>,
    user: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Session {
    #[serde(default)]
    incoming_links: Vec<Incoming>,
}

/// A link by which somebody sends.
#[derive(Debug, Deserialize)]
struct Incoming {
    target_address: Option<String>,
}

pub async fn read(http: &Http, virtual_host: &str) -> Result<Vec<Sender>, AdminError> {
    let list = path(&["vhosts", virtual_host, "connections"])?.with_query("columns=name,protocol,user");
    let connections: Vec<Connection> = match http.get(&list).await {
        // No virtual host, no connection.
        Err(AdminError::NotFound(_)) => return Ok(Vec::new()),
        other => other?,
    };
    let asked = stream::iter(connections).map(|connection| of(http, connection)).buffer_unordered(AT_ONCE);
    let found: Vec<Vec<Sender>> = asked.try_collect().await?;
    Ok(found.into_iter().flatten().collect())
}

async fn of(http: &Http, connection: Connection) -> Result<Vec<Sender>, AdminError> {
    let Connection { name, protocol, user } = connection;
    let user = user.unwrap_or_default();
    if protocol.as_deref() != Some(AMQP) {
        return Ok(vec![Sender { user, address: None }]);
    }
    match http.get::<Vec<Session>>(&path(&["connections", &name, "sessions"])?).await {
        Ok(sessions) => Ok(senders(&user, sessions)),
        // It ended meanwhile.
        Err(AdminError::NotFound(_)) => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

fn senders(user: &str, sessions: Vec<Session>) -> Vec<Sender> {
    let links = sessions.into_iter().flat_map(|session| session.incoming_links);
    links.map(|link| Sender { user: user.to_owned(), address: link.target_address }).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// As RabbitMQ 4.3 answers.
    #[test]
    fn links_that_send_are_told_with_their_address_and_those_without_one() {
        let sessions = json!([{
            "channel_number": 0,
            "incoming_links": [{"link_name": "a", "target_address": "/exchanges/x"}, {"link_name": "b", "target_address": null}],
            "outgoing_links": [{"link_name": "c", "source_address": "/queues/q"}],
        }, {"channel_number": 1}]);
        let found = senders("u", serde_json::from_value(sessions).unwrap());
        let sender = |address: Option<&str>| Sender { user: "u".into(), address: address.map(str::to_owned) };
        assert_eq!(found, [sender(Some("/exchanges/x")), sender(None)]);
    }
}
