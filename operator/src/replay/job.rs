//! The work on one past, step by step. What each step rests on is told in `entente_core::subscription::replay`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use entente_broker::amqp::replay::{Past, Places, Progress, give_rest};
use entente_broker::amqp::{ConnectOptions, Connection};
use entente_core::subscription::desired::binding;
use entente_core::subscription::filter::Matcher;
use entente_core::subscription::replay::{
    SETTLE, State, anew, at_the_seam, end, keep_the_queue, leftovers, live, state, unbound,
};
use entente_core::subscription::validate::Settings;
use entente_core::topology::diff::{Desired, diff};
use entente_core::topology::model::Binding;
use entente_core::topology::names::seam;
use entente_core::topology::observed::ObservedVirtualHost;
use entente_core::topology::plan::{Action, Plan};

use crate::links::Link;
use crate::links::host::Host;
use crate::links::registry::Access;

/// The stream's end is near when it takes no longer than this to get there. What is sent meanwhile is the rest at the seam.
const NEAR: Duration = Duration::from_millis(500);
/// Between two changes of bindings, the second of which takes away what the first has replaced.
const MOMENT: Duration = Duration::from_secs(1);

/// One past to replay.
pub struct Job {
    /// The broker.
    pub link: Arc<Link>,
    /// The Topic's virtual host.
    pub host: Arc<Host>,
    /// The way there for messages.
    pub access: Access,
    /// The Subscription.
    pub settings: Settings,
    /// What its Topic has kept.
    pub stream: String,
    /// How far it is.
    pub progress: Arc<Progress>,
}

impl Job {
    /// Does all that is left to be done.
    pub async fn run(self) -> Result<(), String> {
        self.link.refresh(&self.host).await.map_err(text)?;
        match self.look(|seen| state(&self.settings, seen)) {
            State::Past => Box::pin(self.past()).await,
            State::Seam(replayed_to) => Box::pin(self.seam(replayed_to)).await,
            // Somebody else has done it, or the Subscription is no more what it was.
            State::Over | State::Leftovers(_) | State::NotRetained | State::NoTopic | State::New(_) => Ok(()),
        }
    }

    async fn past(self) -> Result<(), String> {
        let Self { settings, progress, .. } = &self;
        progress.reset();
        self.execute(&self.look(|seen| anew(settings, seen))).await?;
        let stages = unbound(settings);
        self.make(&stages.usable).await?;
        self.make(&stages.complete).await?;
        let matcher = Matcher::of(&settings.arguments)?;
        let (options, connection) = self.connect().await?;
        let stream = &self.stream;
        let mut past = Past::begin(&options, &connection.0, stream, &settings.queue.name, settings.start).await.map_err(text)?;
        past.catch_up(&matcher, progress).await.map_err(text)?;
        // All that takes time is there before the last round.
        self.make(&Desired { claims: Vec::new(), ..at_the_seam(settings, 0) }).await?;
        let replayed_to = loop {
            let begun = Instant::now();
            let end = past.catch_up(&matcher, progress).await.map_err(text)?;
            if begun.elapsed() < NEAR {
                break end;
            }
        };
        self.make(&at_the_seam(settings, replayed_to)).await?;
        self.execute(&keep_the_queue(&settings.queue.name)).await?;
        self.bind_live().await?;
        let closed = past.close().await;
        connection.0.close().await.and(closed).map_err(text)?;
        Box::pin(self.seam(replayed_to)).await
    }

    async fn seam(self, replayed_to: u64) -> Result<(), String> {
        let Self { settings, progress, .. } = &self;
        let (queue, seam) = (&settings.queue.name, seam(&settings.queue.name));
        self.make(&at_the_seam(settings, replayed_to)).await?;
        // The filter that held when it was bound; another one holds from when it is Ready.
        let Binding { arguments, .. } = self.bind_live().await?;
        let matcher = Matcher::of(&arguments)?;
        tokio::time::sleep(SETTLE).await;
        let (options, connection) = self.connect().await?;
        let places = Places { stream: &self.stream, from: replayed_to, ledger: &seam, exchange: &seam };
        let given = Box::pin(give_rest(&options, &connection.0, places, &matcher, progress)).await;
        connection.0.close().await.and(given).map_err(text)?;
        self.execute(&Plan::of(Action::Bind(binding(&settings.topic, &settings.queue, &arguments)))).await?;
        // A message that was routed before has come by the other way.
        tokio::time::sleep(MOMENT).await;
        self.execute(&end(queue, replayed_to)).await?;
        // Senders whose message is on its way to the ledger have their outcome before it goes.
        tokio::time::sleep(MOMENT).await;
        self.execute(&self.look(|seen| leftovers(queue, seen))).await?;
        tracing::info!(queue, replayed = progress.replayed(), "the past was replayed");
        Ok(())
    }

    /// Binds the Topic to the seam, unless it is bound already.
    async fn bind_live(&self) -> Result<Binding, String> {
        let (binding, is_there) = self.look(|seen| {
            let binding = live(&self.settings, seen);
            let is_there = seen.bindings.contains(&binding);
            (binding, is_there)
        });
        if !is_there {
            self.execute(&Plan::of(Action::Bind(binding.clone()))).await?;
        }
        Ok(binding)
    }

    async fn connect(&self) -> Result<(ConnectOptions, Wire), String> {
        // Messages of users who put their names into them. A user that is somebody else's is not changed.
        if !self.access.external {
            self.link.impersonate(&self.access.endpoint.username).await.map_err(text)?;
        }
        let options = self.access.options(&self.host.name).map_err(text)?;
        let connection = Connection::connect(&options).await.map_err(text)?;
        Ok((options, Wire(connection)))
    }

    async fn make(&self, desired: &Desired) -> Result<(), String> {
        let plan = self.look(|seen| diff(desired, seen)).map_err(text)?;
        self.execute(&plan).await
    }

    async fn execute(&self, plan: &Plan) -> Result<(), String> {
        self.link.run(&self.host, plan).await.map_err(text)
    }

    fn look<T>(&self, look: impl FnOnce(&ObservedVirtualHost) -> T) -> T {
        let nothing = ObservedVirtualHost::default();
        self.host.look(|seen| look(seen.unwrap_or(&nothing)))
    }
}

/// A connection that ends with the work on it, however that ends: what was on its way must not arrive after it was begun anew.
struct Wire(Connection);

impl Drop for Wire {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[allow(clippy::needless_pass_by_value)] // as `map_err` has it
fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
