//! One connection to a virtual host, for all contracts in it whose messages are checked.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use entente_broker::amqp::{Connection, Error};

use crate::links::host::Host;
use crate::links::{Link, Links};

/// A connection that is made when it is needed, and ends with the last that uses it.
pub struct Line {
    links: Arc<Links>,
    /// The broker.
    pub link: Arc<Link>,
    /// The virtual host.
    pub host: Arc<Host>,
    connection: tokio::sync::Mutex<Option<Connection>>,
}

impl Line {
    /// The connection, made anew if it is over. Whoever comes meanwhile waits for the same one.
    pub async fn connection(&self) -> Result<Connection, Error> {
        let mut known = self.connection.lock().await;
        if let Some(connection) = known.as_ref().filter(|connection| connection.is_open()) {
            return Ok(connection.clone());
        }
        let gone = || Error::Closed { reason: "there is no way to the broker at the moment".to_owned() };
        let access = self.links.access_to(&self.link.uid).await.ok_or_else(gone)?;
        let connection = Box::pin(Connection::connect(&access.options(&self.host.name)?)).await?;
        *known = Some(connection.clone());
        Ok(connection)
    }
}

/// UID of the Broker, virtual host.
type Key = (String, String);

/// The lines that are used.
#[derive(Default)]
pub struct Lines(Mutex<HashMap<Key, Weak<Line>>>);

impl Lines {
    /// The line to a virtual host.
    pub fn of(&self, links: &Arc<Links>, link: &Arc<Link>, host: &Arc<Host>) -> Arc<Line> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, line| line.strong_count() > 0);
        let key = (link.uid.clone(), host.name.clone());
        let known = all.get(&key).and_then(Weak::upgrade);
        if let Some(line) = known.filter(|line| Arc::ptr_eq(&line.link, link)) {
            return line;
        }
        let made = Arc::new(Line {
            links: Arc::clone(links),
            link: Arc::clone(link),
            host: Arc::clone(host),
            connection: tokio::sync::Mutex::default(),
        });
        all.insert(key, Arc::downgrade(&made));
        made
    }
}
