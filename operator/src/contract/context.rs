//! What the controller of `ServiceContract`s works with.

use std::sync::Arc;
use std::time::Duration;

use entente_core::object::Outcome;
use entente_crds::condition::reasons;
use entente_crds::{Client, ServiceContract, Subscription};
use jiff::Timestamp;
use kube::ResourceExt;
use kube::runtime::controller::Action;
use kube::runtime::reflector::Store;

use super::checks::{self, Checks};
use super::clock::Clock;
use super::probes::Probes;
use super::refused::Waiting;
use super::schemas::Assessed;
use super::{dependents, measured, told, visit};
use crate::objects::reconcile::Error;
use crate::objects::{Context, Shared, deletion, writes};
use crate::visits::Visitor;

/// How often a contract that somebody depends on is looked at while it is being deleted.
const LOOK_AGAIN: Duration = Duration::from_secs(3);

/// What the controller works with.
pub struct ContractContext {
    /// What the pipeline works with.
    pub objects: Arc<Context<ServiceContract>>,
    /// Every Client.
    pub clients: Store<Client>,
    /// Every Subscription.
    pub subscriptions: Store<Subscription>,
    /// Comparisons of schemas that were made.
    pub assessed: Assessed,
    /// The clocks at the last look at each.
    pub clock: Clock,
    /// What was refused and not counted yet.
    pub refused: Waiting,
    /// The probes.
    pub probes: Probes,
    /// Checks of messages.
    pub checks: Checks,
    /// Whether there are to be any probes.
    pub probing: bool,
    /// Whether messages may be checked.
    pub checking: bool,
    /// How often each contract is looked at.
    pub resync: Duration,
}

impl ContractContext {
    /// A controller's beginning.
    pub fn new(shared: Arc<Shared>, clients: Store<Client>, subscriptions: Store<Subscription>, resync: Duration) -> Self {
        Self {
            objects: Context::new(shared),
            clients,
            subscriptions,
            assessed: Assessed::default(),
            clock: Clock::default(),
            refused: Waiting::default(),
            probes: Probes::default(),
            checks: Checks::default(),
            probing: false,
            checking: false,
            resync,
        }
    }

    /// Whether assurances are measured by probes.
    #[must_use]
    pub fn measuring(self, probing: bool) -> Self {
        Self { probing, ..self }
    }

    /// Whether messages are checked.
    #[must_use]
    pub fn checking(self, checking: bool) -> Self {
        Self { checking, ..self }
    }
}

impl Visitor for ContractContext {
    type Object = ServiceContract;
    type Error = Error;

    fn shared(&self) -> &Shared {
        &self.objects.shared
    }

    async fn visit(&self, contract: &ServiceContract) -> Result<Action, Error> {
        visit::visit(contract, self).await
    }

    /// Subscriptions are seen at the broker. Clients leave no trace there but their rights, and are asked for here.
    async fn delete(&self, contract: &ServiceContract) -> Result<Action, Error> {
        let namespace = contract.namespace().unwrap_or_default();
        let senders = dependents::senders(&self.clients, &namespace, &contract.name_any());
        if writes::is_held(contract) && !senders.is_empty() && !self.shared().is_terminating(&namespace) {
            let message =
                format!("deletion waits: Clients may send under it ({}); move or delete them first", senders.join(", "));
            let outcome = Outcome::NotReady { reason: reasons::IN_USE, message };
            let contract = self.objects.written.refresh(contract);
            let new = entente_core::object::Object::next_status(&contract, &outcome, None, Timestamp::now());
            writes::status(&self.objects, &contract, new).await?;
            return Ok(Action::requeue(LOOK_AGAIN));
        }
        let done = deletion::reconcile(contract, &self.objects).await?;
        self.assessed.forget(contract);
        let uid = contract.uid().unwrap_or_default();
        self.clock.forget(&uid);
        self.refused.forget(&uid);
        told::forget(self.shared(), contract);
        measured::forget(self, contract).await;
        checks::forget(self, contract).await;
        Ok(done)
    }
}
