//! Leader election over a Lease; the decisions are in `entente_core::lease`.
//!
//! Guarantees: two replicas never act at once, however their clocks are set, as long as a paused process is
//! noticed by itself within the renew deadline. A write is a PUT with the version that was read.

use std::time::{Duration, Instant};

use entente_core::lease::{Decision, Record, Sighting, decide, must_step_down};
use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client, ResourceExt};
use tokio::time::{sleep, timeout};

/// Name of the Lease.
pub const LEASE: &str = "entente-operator";
const DURATION: Duration = Duration::from_secs(10);
const RENEW_EVERY: Duration = Duration::from_secs(2);
const RENEW_DEADLINE: Duration = Duration::from_secs(7);
const CALL: Duration = Duration::from_secs(3);

/// A candidate.
pub struct Elector {
    api: Api<Lease>,
    me: String,
    seen: Option<(Record, Instant)>,
}

/// Leadership is over.
#[derive(Debug, thiserror::Error)]
pub enum Lost {
    /// Another replica holds the Lease.
    #[error("another replica took the lease over")]
    Taken,
    /// The Lease could not be renewed in time.
    #[error("the lease could not be renewed in time: {0}")]
    NotRenewed(String),
}

#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("no answer from the API server")]
    Late,
    #[error(transparent)]
    Api(#[from] kube::Error),
}

impl Elector {
    /// A candidate named `me` in `namespace`. The name must be unique among replicas.
    pub fn new(client: Client, namespace: &str, me: &str) -> Self {
        Self { api: Api::namespaced(client, namespace), me: me.to_owned(), seen: None }
    }

    /// Waits until this replica leads. `reachable` hears whether the API server answers. Returns when the
    /// winning write began.
    pub async fn acquire(&mut self, reachable: impl Fn(bool)) -> Instant {
        let mut told = false;
        loop {
            let begin = Instant::now();
            match self.attempt().await {
                Ok(leads) => {
                    reachable(true);
                    told = false;
                    if leads {
                        return begin;
                    }
                }
                Err(error) => {
                    if !told {
                        tracing::warn!(%error, "the lease cannot be read or written; trying again");
                        told = true;
                    }
                }
            }
            sleep(RENEW_EVERY / 2).await;
        }
    }

    /// Renews until that fails. `since` is when the last successful write began.
    pub async fn keep(&mut self, mut since: Instant) -> Lost {
        loop {
            sleep(RENEW_EVERY).await;
            let mut last = String::new();
            loop {
                if must_step_down(since.elapsed(), RENEW_DEADLINE) {
                    return Lost::NotRenewed(last);
                }
                let begin = Instant::now();
                let left = RENEW_DEADLINE.saturating_sub(since.elapsed());
                match timeout(left, self.attempt()).await {
                    Ok(Ok(true)) => {
                        since = begin;
                        break;
                    }
                    Ok(Ok(false)) => return Lost::Taken,
                    Ok(Err(error)) => last = error.to_string(),
                    Err(_) => last = Failure::Late.to_string(),
                }
                sleep(Duration::from_millis(300)).await;
            }
        }
    }

    /// Gives the Lease up, so that another replica need not wait. Work must have stopped before.
    pub async fn release(&mut self) {
        let release = async {
            let mut lease = self.api.get(LEASE).await?;
            if holder(&lease) == Some(self.me.as_str()) {
                lease.spec.get_or_insert_default().holder_identity = Some(String::new());
                self.api.replace(LEASE, &PostParams::default(), &lease).await?;
            }
            Ok::<_, kube::Error>(())
        };
        if let Ok(Err(error)) = timeout(CALL, release).await {
            tracing::info!(%error, "the lease was not released; it runs out by itself");
        }
    }

    async fn attempt(&mut self) -> Result<bool, Failure> {
        let lease = timeout(CALL, self.api.get_opt(LEASE)).await.map_err(|_| Failure::Late)??;
        let sighting = lease.as_ref().map(|lease| self.sight(lease));
        let written = match (decide(&self.me, sighting.as_ref(), DURATION), lease) {
            (Decision::Wait, _) => return Ok(false),
            (Decision::Create, _) | (_, None) => {
                let lease = Lease {
                    metadata: ObjectMeta { name: Some(LEASE.into()), ..ObjectMeta::default() },
                    spec: Some(self.claim(None)),
                };
                timeout(CALL, self.api.create(&PostParams::default(), &lease)).await
            }
            (Decision::Acquire | Decision::Renew, Some(mut lease)) => {
                lease.spec = Some(self.claim(lease.spec.take()));
                timeout(CALL, self.api.replace(LEASE, &PostParams::default(), &lease)).await
            }
        };
        match written.map_err(|_| Failure::Late)? {
            Ok(_) => Ok(true),
            // Somebody was faster. Who, the next look tells.
            Err(kube::Error::Api(status)) if status.code == 409 => {
                let lease = timeout(CALL, self.api.get(LEASE)).await.map_err(|_| Failure::Late)??;
                if holder(&lease) == Some(self.me.as_str()) {
                    return Err(Failure::Api(kube::Error::Api(status)));
                }
                Ok(false)
            }
            Err(error) => Err(error.into()),
        }
    }

    fn sight(&mut self, lease: &Lease) -> Sighting {
        let record = Record { holder: holder(lease).map(Into::into), version: lease.resource_version().unwrap_or_default() };
        let since = match &self.seen {
            Some((known, since)) if *known == record => *since,
            _ => {
                let now = Instant::now();
                self.seen = Some((record.clone(), now));
                now
            }
        };
        Sighting { record, unchanged_for: since.elapsed() }
    }

    fn claim(&self, old: Option<LeaseSpec>) -> LeaseSpec {
        let old = old.unwrap_or_default();
        let now = MicroTime(Timestamp::now());
        let kept = old.holder_identity.as_deref() == Some(self.me.as_str());
        LeaseSpec {
            holder_identity: Some(self.me.clone()),
            lease_duration_seconds: i32::try_from(DURATION.as_secs()).ok(),
            acquire_time: if kept { old.acquire_time } else { Some(now.clone()) },
            renew_time: Some(now),
            lease_transitions: Some(old.lease_transitions.unwrap_or(0) + i32::from(!kept)),
            ..old
        }
    }
}

fn holder(lease: &Lease) -> Option<&str> {
    lease.spec.as_ref()?.holder_identity.as_deref()
}
