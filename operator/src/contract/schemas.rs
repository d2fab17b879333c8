//! Comparisons of schemas, made once.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use entente_core::contract::kept::digest;
use entente_core::contract::ranks::{Due, assessments, due};
use entente_core::contract::schemas::{Assessment, sha256};
use entente_crds::ServiceContract;
use kube::ResourceExt;
use tokio::sync::Semaphore;

use crate::objects::Shared;
use crate::schemas::{Within, kept};

/// How long the API server is given for a ConfigMap.
const PATIENCE: Duration = Duration::from_secs(5);
/// Contracts whose schemas are in memory at once. What is held of one is bounded, and with this what is held of all.
const AT_ONCE: usize = 2;

/// Comparisons that were made, by the contract's uid: a version that is refused would else be compared anew at each visit.
#[derive(Debug)]
pub struct Assessed {
    known: Mutex<HashMap<String, Known>>,
    room: Semaphore,
}

/// What was compared, and what came of it.
type Known = (String, BTreeMap<String, Assessment>);

impl Default for Assessed {
    fn default() -> Self {
        Self { known: Mutex::default(), room: Semaphore::new(AT_ONCE) }
    }
}

impl Assessed {
    /// Forgets a contract that is gone.
    pub fn forget(&self, contract: &ServiceContract) {
        self.known().remove(&contract.uid().unwrap_or_default());
    }

    fn known(&self) -> std::sync::MutexGuard<'_, HashMap<String, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Compares the versions that are to be offered. Nothing is read or compared where none is.
    pub async fn of(&self, shared: &Shared, contract: &ServiceContract) -> BTreeMap<String, Assessment> {
        let recorded = contract.status.as_ref().map(|status| status.versions.clone()).unwrap_or_default();
        let waiting = due(&contract.spec, &recorded);
        if waiting.is_empty() {
            return BTreeMap::new();
        }
        let Ok(_room) = self.room.acquire().await else { return BTreeMap::new() };
        let places = waiting.iter().flat_map(Due::places).collect();
        let maps = Within(shared.client.clone(), PATIENCE);
        let kept = kept(&maps, &contract.namespace().unwrap_or_default(), places).await;
        let names: Vec<&str> = waiting.iter().map(|due| due.version.name.as_str()).collect();
        let states: Vec<_> = recorded.iter().map(|known| (&known.name, known.state)).collect();
        let what = sha256(&format!("{:?} {states:?} {} {names:?}", contract.spec, digest(&kept)));
        let uid = contract.uid().unwrap_or_default();
        if let Some((known, found)) = self.known().get(&uid)
            && *known == what
        {
            return found.clone();
        }
        // Schemas of many versions take hundreds of milliseconds, in which other visits go on.
        let spec = contract.spec.clone();
        let work = tokio::task::spawn_blocking(move || assessments(&spec, &due(&spec, &recorded), &kept));
        let Ok(found) = work.await else { return BTreeMap::new() };
        if !found.is_empty() {
            self.known().insert(uid, (what, found.clone()));
        }
        found
    }
}
