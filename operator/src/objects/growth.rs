//! Queues that join a ring when all in it are empty.
//!
//! Guarantees: none joins while a message is known to wait, so that what came before of a value is not overtaken.
//!
//! Caveat: RabbitMQ cannot bind on the condition that a queue is empty, and cannot be told to hold senders back (a queue
//! with `max-length: 0` takes one message as long as it is empty). So all are seen empty twice, further apart than the
//! counters are old; a message that comes between the second look and the binding, or just before, may be overtaken.

use std::time::Duration;

use entente_core::topology::diff::Desired;
use entente_core::topology::model::QueueKind;
use entente_core::topology::observed::ObservedVirtualHost;
use entente_core::topology::plan::Plan;
use entente_core::topology::ring::Joining;

use super::deletion::lag;
use crate::links::host::Host;
use crate::links::{Link, LinkError};

/// How often queues that wait are looked at.
pub const LOOK_AGAIN: Duration = Duration::from_secs(3);

/// What came of a look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Growth {
    /// None waits.
    Complete,
    /// Some wait for others to be empty.
    Waits,
    /// All that waited have joined.
    Joined,
}

/// Looks whether queues wait, and lets them join if all are empty.
pub async fn grow(link: &Link, host: &Host, desired: &Desired) -> Result<Growth, LinkError> {
    let kinds: Vec<QueueKind> = desired.queues.iter().map(|queue| queue.kind).collect();
    grow_after(link, host, desired, lag(&kinds)).await
}

/// `lag` is how old counters may be.
async fn grow_after(link: &Link, host: &Host, desired: &Desired, lag: Duration) -> Result<Growth, LinkError> {
    if matches!(look(host, desired), Look::Complete) {
        return Ok(Growth::Complete);
    }
    link.refresh(host).await?;
    if !matches!(look(host, desired), Look::Empty(_)) {
        return Ok(Growth::Waits);
    }
    tokio::time::sleep(lag).await;
    link.refresh(host).await?;
    let Look::Empty(plan) = look(host, desired) else { return Ok(Growth::Waits) };
    link.run(host, &plan).await?;
    Ok(Growth::Joined)
}

/// What a look shows.
enum Look {
    Complete,
    Full,
    /// What lets all join.
    Empty(Plan),
}

fn look(host: &Host, desired: &Desired) -> Look {
    let joining =
        |seen: &ObservedVirtualHost| -> Vec<Joining> { desired.rings.iter().filter_map(|ring| ring.joining(seen)).collect() };
    let joining = host.look(|seen| seen.map(joining)).unwrap_or_default();
    match &joining[..] {
        [] => Look::Complete,
        _ if joining.iter().any(|joining| joining.left != Some(0)) => Look::Full,
        _ => Look::Empty(Plan { steps: joining.into_iter().flat_map(|joining| joining.plan.steps).collect() }),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use entente_broker::admin::BrokerAdmin;
    use entente_broker_fake::FakeBroker;
    use entente_core::object::Object;
    use entente_core::topology::diff::diff;
    use entente_core::topology::foundation::virtual_host;
    use entente_core::topology::observed::Counts;
    use entente_core::topology::plan::Action;
    use entente_crds::Queue;
    use serde_json::json;

    use super::*;
    use crate::links::wakers::Wakers;
    use crate::metrics::Metrics;

    fn desired(count: usize) -> Desired {
        let spec = json!({"partitions": {"count": count, "by": "customer"}});
        Queue::desired(&Queue::new("q", serde_json::from_value(spec).unwrap()).validate().unwrap()).usable
    }

    async fn look_at(link: &Link, host: &Host, desired: &Desired) -> Result<Growth, LinkError> {
        grow_after(link, host, desired, Duration::from_millis(200)).await
    }

    async fn made(link: &Link, host: &Host, desired: &Desired) {
        let plan = host.look(|seen| diff(desired, seen.unwrap())).unwrap();
        link.run(host, &plan).await.unwrap();
    }

    #[tokio::test]
    async fn a_part_joins_when_all_are_empty_and_not_before() {
        let broker = Arc::new(FakeBroker::default());
        let admin: Arc<dyn BrokerAdmin> = broker.clone();
        let link = Link::new("a/main".into(), "u".into(), admin, Wakers::new().0, Metrics::default());
        let host = link.host("shop");
        link.know(&host).await.unwrap();
        link.run(&host, &Plan::of(Action::CreateVirtualHost(virtual_host("shop", "u")))).await.unwrap();
        made(&link, &host, &desired(2)).await;
        assert_eq!(look_at(&link, &host, &desired(2)).await.unwrap(), Growth::Complete);

        let messages = |ready: i64| {
            broker.tamper("shop", |seen| {
                seen.queues.get_mut("part.q.1").unwrap().counts = Some(Counts { ready, ..Counts::default() });
            });
        };
        messages(1);
        made(&link, &host, &desired(3)).await;
        broker.take_written();
        assert_eq!(look_at(&link, &host, &desired(3)).await.unwrap(), Growth::Waits);
        assert!(broker.take_written().is_empty());

        // A message that comes between both looks.
        messages(0);
        let three = desired(3);
        let (growth, ()) = tokio::join!(look_at(&link, &host, &three), async {
            tokio::time::sleep(Duration::from_millis(50)).await;
            messages(1);
        });
        assert_eq!(growth.unwrap(), Growth::Waits);
        assert!(broker.take_written().is_empty());

        messages(0);
        assert_eq!(look_at(&link, &host, &desired(3)).await.unwrap(), Growth::Joined);
        assert_eq!(broker.take_written(), ["bind part.q to part.q.2 by \"1\""]);
        assert_eq!(look_at(&link, &host, &desired(3)).await.unwrap(), Growth::Complete);
    }
}
