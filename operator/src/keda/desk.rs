//! Where the answers come from.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use entente_core::scaling::Reading;
use entente_core::scaling::keda::{Kind, Question};
use entente_crds::{Queue, Subscription};
use kube::runtime::reflector::{ObjectRef, Store};

use crate::objects::Shared;
use crate::scaling::{Lookout, Place};

/// Why there is no depth, whoever asks and however often.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoDepth {
    /// There is none, or it is not at a Broker yet.
    #[error("there is no such Queue or Subscription in the ScaledObject's namespace, or it is not Ready yet")]
    Unknown,
    /// Somebody else runs the RabbitMQ.
    #[error("its Broker is an external one, whose depths are not read; use KEDA's own scaler for RabbitMQ")]
    External,
}

/// What depths are asked of.
#[async_trait]
pub trait Depths: Send + Sync + 'static {
    /// The depth that a question is about. What is not known yet is waited for that long.
    async fn read(&self, question: &Question, patience: Duration) -> Result<Reading, NoDepth>;
}

/// The leader's own knowledge.
pub struct Desk {
    /// What all controllers share.
    pub shared: Arc<Shared>,
    /// Every Queue.
    pub queues: Store<Queue>,
    /// Every Subscription.
    pub subscriptions: Store<Subscription>,
    /// Who reads depths.
    pub lookout: Arc<Lookout>,
}

impl Desk {
    fn place(&self, question: &Question) -> Option<Place> {
        let Question { kind, namespace, name, messages_per_replica: _ } = question;
        match kind {
            Kind::Queue => Place::of(self.queues.get(&ObjectRef::new(name).within(namespace))?.as_ref(), &self.shared),
            Kind::Subscription => {
                Place::of(self.subscriptions.get(&ObjectRef::new(name).within(namespace))?.as_ref(), &self.shared)
            }
        }
    }
}

#[async_trait]
impl Depths for Desk {
    async fn read(&self, question: &Question, patience: Duration) -> Result<Reading, NoDepth> {
        let place = self.place(question).ok_or(NoDepth::Unknown)?;
        if place.external {
            return Err(NoDepth::External);
        }
        Ok(self.lookout.read(&place, patience).await)
    }
}
