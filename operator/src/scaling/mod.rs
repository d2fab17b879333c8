//! Consumers scaled on the depth of their queue and its trend: the I/O around `entente_core::scaling`.
//!
//! ```text
//! board     one for each Broker: reads the depths of all queues that are scaled on, twice a second, node by node
//! subject   an object with `spec.scaling`: which queue, which settings, which target
//! keeper    one for each subject: depth + target → step → `/scale`, status, Event
//! target    `/scale` of any kind in the object's own namespace (invariant I3)
//! lookout   depths for whoever else asks, such as KEDA
//! costs     which pods go first when replicas are lowered, where the operator may say so
//! ```
//!
//! Nobody waits for anybody: a board that gets no answer tells its keepers so, and these lower nothing (invariant I5); a keeper whose
//! API server is slow delays itself alone (invariant I7).

mod board;
mod costs;
mod keeper;
mod lookout;
mod report;
mod subject;
mod target;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use entente_crds::{Queue, Subscription};
use kube::runtime::reflector::Store;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};

use board::{Board, Boards};
use costs::Costs;
use keeper::Keeper;
use subject::{Checked, Subject};

pub use costs::Annotated;
pub use lookout::Lookout;
pub use subject::Place;

use crate::objects::Shared;

/// How soon a new object with `spec.scaling`, or a change of one, is taken up.
const ROLL_CALL: Duration = Duration::from_millis(500);

/// What the autoscaler works with.
pub struct Autoscaler {
    /// What all controllers share.
    pub shared: Arc<Shared>,
    /// Every Queue.
    pub queues: Store<Queue>,
    /// Every Subscription.
    pub subscriptions: Store<Subscription>,
    /// DNS domain of the Kubernetes cluster.
    pub cluster_domain: String,
    /// Where pods may be annotated.
    pub annotated: Annotated,
    /// Who else asks for depths.
    pub lookout: Arc<Lookout>,
}

/// A keeper at work. It ends with this.
struct AtWork {
    subject: watch::Sender<Arc<Subject>>,
    task: JoinHandle<()>,
}

impl Drop for AtWork {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Autoscaler {
    /// Works until it is dropped.
    pub async fn run(self) {
        let mut boards = Boards::new(Arc::clone(&self.shared), self.cluster_domain.clone());
        let mut at_work: HashMap<String, AtWork> = HashMap::new();
        let mut checked = Checked::default();
        let mut calls = interval(ROLL_CALL);
        calls.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            calls.tick().await;
            let subjects = self.subjects(&mut checked);
            let there: BTreeSet<&str> = subjects.iter().map(|subject| subject.uid.as_str()).collect();
            self.forget(&there);
            checked.keep(&there);
            let of_subjects = subjects.iter().map(|subject| (subject.broker_uid.clone(), subject.virtual_host.clone()));
            boards.keep(of_subjects.chain(self.lookout.wanted()));
            self.lookout.show(&boards);
            at_work.retain(|uid, _| there.contains(uid.as_str()));
            for subject in &subjects {
                self.attend(subject, &boards, &mut at_work);
            }
        }
    }

    /// Every object that is to be scaled now. Of several with one target, the oldest acts and the others say why they do not.
    fn subjects(&self, checked: &mut Checked) -> Vec<Arc<Subject>> {
        let mut all: Vec<Subject> = Vec::new();
        all.extend(self.queues.state().iter().filter_map(|queue| Subject::of(queue.as_ref(), &self.shared, checked)));
        all.extend(self.subscriptions.state().iter().filter_map(|one| Subject::of(one.as_ref(), &self.shared, checked)));
        subject::rivals(all).into_iter().map(Arc::new).collect()
    }

    fn attend(&self, subject: &Arc<Subject>, boards: &Boards, at_work: &mut HashMap<String, AtWork>) {
        let Some(board) = boards.of(&subject.broker_uid) else { return };
        if let Some(known) = at_work.get(&subject.uid)
            && !known.task.is_finished()
            && known.subject.borrow().broker_uid == subject.broker_uid
        {
            known.subject.send_if_modified(|known| {
                let changed = known.as_ref() != subject.as_ref();
                *known = Arc::clone(subject);
                changed
            });
            return;
        }
        let (tell, told) = watch::channel(Arc::clone(subject));
        let costs = Costs::new(Arc::clone(&self.shared), self.annotated.covers(&subject.namespace));
        let keeper = Keeper::new(Arc::clone(&self.shared), told, board, costs);
        at_work.insert(subject.uid.clone(), AtWork { subject: tell, task: tokio::spawn(keeper.run()) });
    }

    /// Takes the status away where `spec.scaling` is gone.
    fn forget(&self, there: &BTreeSet<&str>) {
        for queue in self.queues.state() {
            report::clear(&self.shared, queue.as_ref(), there);
        }
        for subscription in self.subscriptions.state() {
            report::clear(&self.shared, subscription.as_ref(), there);
        }
    }
}

type Readings = watch::Receiver<Arc<Board>>;
