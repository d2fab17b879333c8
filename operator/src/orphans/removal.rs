//! The end of an orphan.
//!
//! RabbitMQ deletes a virtual host's queues one after another while the request waits, and stops where the request ends: at a time-out of ours,
//! or after 60 s by its own (of 3,000 queues 833 were gone, docs/broker-facts.md). A request that ran into ours would also count as
//! a broker that does not answer, and hold up everybody else (invariant I7). So its queues go first, some at each look.

use std::time::{Duration, Instant};

use entente_core::topology::plan::{Action, Plan};
use futures::stream::{self, StreamExt, TryStreamExt};

use crate::links::{Link, LinkError};

/// A virtual host with no more queues goes by one request: some seconds.
const AT_ONE_GO: usize = 50;
/// Requests at once: objects that somebody waits for have the other places.
const AT_ONCE: usize = 3;
/// One look takes no longer: it is one for all Brokers.
const LOOK: Duration = Duration::from_secs(10);

/// Deletes a virtual host, or some of its queues. Returns whether it is gone.
///
/// # Errors
/// The broker does not answer, or refuses. What was deleted is.
pub async fn remove(link: &Link, name: &str) -> Result<bool, LinkError> {
    let begin = Instant::now();
    let queues = link.read(|admin| admin.read_queues(name)).await?;
    let host = link.host(name);
    let first = queues.len().saturating_sub(AT_ONE_GO);
    let deletions = queues.into_keys().take(first).map(|name| Plan::of(Action::DeleteQueue { name }));
    let left = stream::iter(deletions)
        .map(|plan| {
            let host = &host;
            async move {
                if begin.elapsed() >= LOOK {
                    return Ok(1);
                }
                link.run(host, &plan).await.map(|()| 0)
            }
        })
        .buffer_unordered(AT_ONCE)
        .try_fold(0_usize, async |left, one| Ok::<_, LinkError>(left + one))
        .await?;
    if left > 0 {
        // Nothing else needs it, and it would be read over and over.
        link.forget_host(name);
        tracing::info!(broker = link.key, virtual_host = name, queues = left + AT_ONE_GO, "an orphan's queues are being deleted");
        return Ok(false);
    }
    link.run(&host, &Plan::of(Action::DeleteVirtualHost)).await?;
    link.forget_host(name);
    Ok(true)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use entente_broker::admin::BrokerAdmin;
    use entente_broker_fake::FakeBroker;
    use entente_core::topology::foundation::virtual_host;
    use entente_core::topology::model::{Arguments, QueueDeclaration, QueueKind};

    use super::*;
    use crate::links::wakers::Wakers;
    use crate::metrics::Metrics;

    async fn removed(queues: usize) -> Vec<String> {
        let broker = Arc::new(FakeBroker::default());
        broker.tamper("shop", |host| {
            host.note(&Action::CreateVirtualHost(virtual_host("shop", "u")));
            for number in 0..queues {
                let name = format!("q{number}");
                host.note(&Action::DeclareQueue(QueueDeclaration { name, kind: QueueKind::Quorum, arguments: Arguments::new() }));
            }
        });
        let admin: Arc<dyn BrokerAdmin> = broker.clone();
        let link = Link::new("a/main".into(), "u".into(), admin, Wakers::new().0, Metrics::default());
        assert!(remove(&link, "shop").await.unwrap());
        broker.take_written()
    }

    #[tokio::test]
    async fn i7_no_request_has_to_delete_many_queues() {
        for (queues, requests) in [(0, 1), (AT_ONE_GO, 1), (AT_ONE_GO + 1, 2), (1_000, 951)] {
            let written = removed(queues).await;
            assert_eq!(written.len(), requests, "{queues}");
            assert!(written.last().unwrap().contains("virtual host"), "{written:?}");
        }
    }
}
