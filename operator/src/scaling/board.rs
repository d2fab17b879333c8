//! What the leaders of a Broker's queues say of their depth.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use entente_broker::rabbitmq::{Gauge, NodeGauges, QueueName};
use entente_core::cluster::names;
use entente_core::scaling::{Reading, Seen};
use entente_crds::Broker;
use futures::future::join_all;
use kube::ResourceExt;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::Readings;
use crate::objects::Shared;

/// Time between two readings. A leader tells its depth once a second; more often finds it sooner.
const INTERVAL: Duration = Duration::from_millis(500);
/// With thousands of queues a reading takes long: it is made no more than this share of the time.
const SHARE: u32 = 5;
/// How long a node may take.
const TIMEOUT: Duration = Duration::from_millis(1_500);
/// A reading older than this is not decided on.
pub const OLD: Duration = Duration::from_secs(5);

/// What is read: the UID of a Broker, and a virtual host.
pub type Watched = (String, String);

/// One reading of a whole Broker.
#[derive(Debug)]
pub struct Board {
    /// When it began. `None`: nothing was read yet.
    pub read_at: Option<Instant>,
    gauges: BTreeMap<QueueName, Gauge>,
}

impl Board {
    /// What is known of a queue, which may consist of several parts.
    pub fn reading(&self, virtual_host: &str, queues: &[String]) -> Reading {
        match self.read_at {
            None => return Reading::Failed,
            Some(at) if at.elapsed() > OLD => return Reading::Stale,
            Some(_) => {}
        }
        let known = queues.iter().map(|queue| self.gauges.get(&(virtual_host.to_owned(), queue.clone())));
        let (mut sum, mut missing) = (None, 0);
        for gauge in known {
            match gauge {
                None => missing += 1,
                Some(gauge) => {
                    let seen = seen(*gauge);
                    sum = Some(match sum {
                        None => seen,
                        Some(sum) => Seen::and(sum, seen),
                    });
                }
            }
        }
        match sum {
            // Its leader is on a node that did not answer, or it has none at present.
            None => Reading::Failed,
            Some(sum) => Reading::Seen(Seen { is_lower_bound: missing > 0, ..sum }),
        }
    }
}

fn seen(gauge: Gauge) -> Seen {
    let Gauge { ready, unacknowledged, consumers } = gauge;
    // RabbitMQ counts what comes and goes over AMQP 1.0 for no single queue: totals are not known.
    Seen { ready, unacknowledged, consumers, ..Seen::default() }
}

/// The boards by Broker.
pub struct Boards {
    shared: Arc<Shared>,
    cluster_domain: String,
    by_uid: HashMap<String, Reader>,
}

struct Reader {
    virtual_hosts: watch::Sender<BTreeSet<String>>,
    board: Readings,
    task: JoinHandle<()>,
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Boards {
    /// None yet.
    pub fn new(shared: Arc<Shared>, cluster_domain: String) -> Self {
        Self { shared, cluster_domain, by_uid: HashMap::new() }
    }

    /// Reads these and no others.
    pub fn keep(&mut self, watched: impl IntoIterator<Item = Watched>) {
        let mut wanted: HashMap<String, BTreeSet<String>> = HashMap::new();
        for (uid, virtual_host) in watched {
            wanted.entry(uid).or_default().insert(virtual_host);
        }
        self.by_uid.retain(|uid, reader| wanted.contains_key(uid) && !reader.task.is_finished());
        for (uid, hosts) in wanted {
            if let Some(reader) = self.by_uid.get(&uid) {
                reader.virtual_hosts.send_if_modified(|known| {
                    let changed = *known != hosts;
                    *known = hosts;
                    changed
                });
                continue;
            }
            let Some(broker) = self.shared.brokers.state().into_iter().find(|broker| broker.uid().as_ref() == Some(&uid)) else {
                continue;
            };
            let nothing = Board { read_at: None, gauges: BTreeMap::new() };
            let (tell, board) = watch::channel(Arc::new(nothing));
            let (virtual_hosts, told) = watch::channel(hosts);
            let shared = Arc::clone(&self.shared);
            let task = tokio::spawn(read(shared, self.cluster_domain.clone(), broker, told, tell));
            self.by_uid.insert(uid, Reader { virtual_hosts, board, task });
        }
    }

    /// The boards of all Brokers that are read.
    pub fn all(&self) -> HashMap<String, Readings> {
        self.by_uid.iter().map(|(uid, reader)| (uid.clone(), reader.board.clone())).collect()
    }

    /// The board of a Broker.
    pub fn of(&self, uid: &str) -> Option<Readings> {
        self.by_uid.get(uid).map(|reader| reader.board.clone())
    }
}

/// Reads for ever. The nodes are those that the Broker is declared with by now.
async fn read(
    shared: Arc<Shared>,
    cluster_domain: String,
    broker: Arc<Broker>,
    hosts: watch::Receiver<BTreeSet<String>>,
    tell: watch::Sender<Arc<Board>>,
) {
    let uid = broker.uid().unwrap_or_default();
    let mut nodes: Vec<NodeGauges> = Vec::new();
    loop {
        let begin = Instant::now();
        let broker = shared.brokers.get(&kube::runtime::reflector::ObjectRef::from_obj(broker.as_ref()));
        if let Some(broker) = broker.filter(|broker| broker.uid().as_ref() == Some(&uid)) {
            meet(&shared, &broker, &cluster_domain, &mut nodes).await;
            let hosts = hosts.borrow().clone();
            let answers = join_all(nodes.iter().map(|node| node.read(&hosts))).await;
            let any = answers.iter().any(Result::is_ok);
            let gauges = answers.into_iter().flatten().fold(BTreeMap::new(), |mut all, of_node| {
                // For a moment two nodes may call themselves leader: the deeper one lowers nothing by mistake.
                for (name, gauge) in of_node {
                    let known: &mut Gauge = all.entry(name).or_default();
                    if (gauge.ready, gauge.unacknowledged) >= (known.ready, known.unacknowledged) {
                        *known = gauge;
                    }
                }
                all
            });
            let board = Board { read_at: any.then_some(begin), gauges };
            if tell.send(Arc::new(board)).is_err() {
                return;
            }
        }
        sleep(INTERVAL.saturating_sub(begin.elapsed()).max(begin.elapsed() * (SHARE - 1))).await;
    }
}

/// Makes a client for each node, and anew when their number changes.
async fn meet(shared: &Shared, broker: &Broker, cluster_domain: &str, nodes: &mut Vec<NodeGauges>) {
    let declared = usize::try_from(broker.spec.replicas).unwrap_or_default();
    if nodes.len() == declared || broker.spec.external.is_some() {
        return;
    }
    let Some(endpoint) = shared.links.endpoint(&broker.uid().unwrap_or_default()).await else { return };
    let ca = endpoint.ca.as_deref().map(str::as_bytes);
    let made: Result<Vec<_>, _> = (0..broker.spec.replicas)
        .map(|ordinal| NodeGauges::new(&names::node_prometheus_url(broker, ordinal, cluster_domain), ca, TIMEOUT))
        .collect();
    match made {
        Ok(made) => *nodes = made,
        Err(error) => tracing::warn!(%error, broker = broker.name_any(), "the depths of its queues cannot be read"),
    }
}

#[cfg(test)]
impl Board {
    /// A board of the virtual host `shop`, by queue and messages that are ready.
    pub fn of(read_at: Option<Instant>, gauges: &[(&str, u64)]) -> Self {
        let name = |queue: &str| ("shop".to_owned(), queue.to_owned());
        let gauges = gauges.iter().map(|(queue, ready)| (name(queue), Gauge { ready: *ready, ..Gauge::default() })).collect();
        Self { read_at, gauges }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn board(at: Option<Instant>, gauges: &[(&str, u64)]) -> Board {
        Board::of(at, gauges)
    }

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn i5_what_was_not_read_is_not_zero() {
        let now = Some(Instant::now());
        assert_eq!(board(None, &[("q", 1)]).reading("shop", &names(&["q"])), Reading::Failed);
        assert_eq!(board(now, &[]).reading("shop", &names(&["q"])), Reading::Failed);
        let old = Instant::now().checked_sub(OLD * 2);
        assert_eq!(board(old, &[("q", 1)]).reading("shop", &names(&["q"])), Reading::Stale);
    }

    #[test]
    fn parts_are_added_and_a_missing_one_makes_a_lower_bound() {
        let board = board(Some(Instant::now()), &[("a", 2), ("b", 3)]);
        let read = |parts: &[&str]| match board.reading("shop", &names(parts)) {
            Reading::Seen(seen) => (seen.ready, seen.is_lower_bound),
            other => panic!("{other:?}"),
        };
        assert_eq!(read(&["a", "b"]), (5, false));
        assert_eq!(read(&["a", "b", "c"]), (5, true));
    }
}
