//! The same queues declared at the broker without an operator: what the others can be compared with on any machine.

use std::time::Instant;

use anyhow::Result;
use entente_broker::admin::BrokerAdmin;
use entente_core::topology::foundation::virtual_host;
use entente_core::topology::model::{Arguments, QueueDeclaration, QueueKind};
use entente_core::topology::plan::Action;
use entente_e2e::scene::Scene;
use futures::{StreamExt, TryStreamExt, stream};

use entente_e2e::ranks::rank;
use entente_e2e::report::Report;

/// Declarations at once: as many as the operator has under way at one Broker.
const AT_ONCE: usize = 8;

fn declare(number: usize) -> Action {
    Action::DeclareQueue(QueueDeclaration { name: format!("q{number}"), kind: QueueKind::Quorum, arguments: Arguments::new() })
}

pub async fn measure(scene: &Scene, tries: usize, count: usize, report: &mut Report) -> Result<()> {
    let (admin, host) = (&scene.broker.admin, &scene.namespace);
    admin.execute(host, &Action::CreateVirtualHost(virtual_host(host, "bench"))).await?;
    let mut took = Vec::with_capacity(tries);
    for number in 0..tries {
        let begin = Instant::now();
        admin.execute(host, &declare(number)).await?;
        took.push(begin.elapsed());
        admin.execute(host, &Action::DeleteQueue { name: format!("q{number}") }).await?;
    }
    took.sort();
    report.add("broker alone", "declare_p50_ms", "ms", rank(&took, 0.5).as_secs_f64() * 1_000.0, "");
    report.add("broker alone", "declare_p99_ms", "ms", rank(&took, 0.99).as_secs_f64() * 1_000.0, "");
    let begin = Instant::now();
    stream::iter(0..count)
        .map(Ok)
        .try_for_each_concurrent(AT_ONCE, async |number| admin.execute(host, &declare(number)).await)
        .await?;
    #[allow(clippy::cast_precision_loss)]
    let rate = count as f64 / begin.elapsed().as_secs_f64();
    report.add("broker alone", "objects_per_s", "1/s", rate, "");
    stream::iter(0..count)
        .map(Ok)
        .try_for_each_concurrent(AT_ONCE, async |number| {
            admin.execute(host, &Action::DeleteQueue { name: format!("q{number}") }).await
        })
        .await?;
    Ok(())
}
