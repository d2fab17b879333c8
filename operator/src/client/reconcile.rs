//! One visit to a Client.

use std::collections::BTreeSet;
use std::time::Duration;

use entente_broker::admin::AdminError;
use entente_core::client::access::{Granted, Summary, Unusable, fronts, grant, place, sum};
use entente_core::client::brownout;
use entente_core::client::diff::{Alive, Desired, Foreign, diff};
use entente_core::client::identity::serial_of;
use entente_core::client::password::{Password, PasswordHash};
use entente_core::client::rotation::{Kept, Known, Step, decide, request};
use entente_core::client::secret::{Endpoint, Owner, Record, record, secret};
use entente_core::client::status::{Facts, outcome, status};
use entente_core::client::users::UserAction;
use entente_core::client::validate::{Entry, Settings, validate};
use entente_core::cluster::external::{barrier, lacks_filters_to_send};
use entente_core::object::{Outcome, Refusal, is_paused};
use entente_core::resolve::{Asker, Unresolved};
use entente_core::topology::diff::{Conflict, diff as diff_topology};
use entente_core::topology::foundation::{limits, owner_tag, virtual_host};
use entente_core::topology::observed::ObservedVirtualHost;
use entente_crds::condition::reasons;
use entente_crds::meta::ROTATE_ANNOTATION;
use entente_crds::{Broker, Client};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use kube::runtime::controller::Action;

use super::context::{ClientContext, Referred};
use super::deletion::{self, retire};
use super::secrets::{self, Stored};
use super::shrink::shrink;
use crate::broker::credentials::random_text;
use crate::contract::told;
use crate::links::host::Host;
use crate::links::{Link, LinkError};
use crate::objects::reconcile::{OUTAGE, SILENCE, is_ready, not_linked};
use crate::objects::writes;
use crate::visits::Repeated;
use crate::visits::vanished::clean_up;

/// Something outside must happen first.
const WAIT: Duration = Duration::from_secs(2);
/// A Secret of that name that is somebody else's may go: mostly it is that of a Client that was just deleted.
const FOREIGN: Duration = Duration::from_secs(10);

/// A visit failed and is repeated.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The API server did not take a write.
    #[error("the API server did not take a write: {0}")]
    Api(#[from] kube::Error),
    /// There are no random numbers for a password.
    #[error(transparent)]
    NoRandomness(#[from] crate::broker::credentials::NoRandomness),
}

impl Repeated for Error {
    fn of_api_server(&self) -> Option<&kube::Error> {
        match self {
            Self::Api(error) => Some(error),
            Self::NoRandomness(_) => None,
        }
    }
}

/// What ends a visit early.
enum Halt {
    /// This is to be told.
    Told(Outcome, Duration),
    /// Nothing is to be told.
    Quiet(Duration),
    /// The visit failed.
    Failed(Error),
}

impl<E: Into<Error>> From<E> for Halt {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

/// Visits a Client.
pub async fn reconcile(client: &Client, ctx: &ClientContext) -> Result<Action, Error> {
    let client = ctx.written.refresh(client);
    if client.metadata.deletion_timestamp.is_some() {
        return deletion::reconcile(&client, ctx).await;
    }
    if is_paused(&client) {
        return rest(ctx, &client, &Outcome::Paused).await;
    }
    if ctx.is_terminating(&client.namespace().unwrap_or_default()) {
        // Its Secret may be gone before it, and a new one would be refused. It is deleted within moments itself.
        return Ok(Action::requeue(WAIT));
    }
    let settings = match validate(&client) {
        Ok(settings) => settings,
        Err(refusal) => return rest(ctx, &client, &refused(refusal)).await,
    };
    let broker = match ctx.broker(&client) {
        Ok(broker) => broker,
        Err(Unresolved { reason, message }) => {
            // A Broker that no longer admits the namespace is used no longer.
            if writes::is_held(&client)
                && let Some(last) = ctx.last_broker(&client)
                && let Err(error) = retire(&ctx.links, &client, &last).await
            {
                tracing::warn!(%error, "a Client whose Broker no longer admits it still has users; this is tried again");
                return Ok(Action::requeue(OUTAGE));
            }
            return end(ctx, &client, &Outcome::NotReady { reason, message }, None, Action::requeue(ctx.resync)).await;
        }
    };
    let referred: Vec<Referred> = settings.entries.iter().map(|entry| ctx.refer(&client, entry)).collect();
    let found: Vec<_> = referred.iter().map(Referred::found).collect();
    let host = match place(&settings, &found) {
        Ok(host) => host,
        Err(refusal) => return rest(ctx, &client, &refused(refusal)).await,
    };
    let labels = ctx.labels(&settings.namespace);
    let asker = Asker { namespace: &settings.namespace, labels: labels.as_ref() };
    let now = Timestamp::now();
    let granted = settings.entries.iter().zip(&referred).map(|(entry, referred)| {
        let granted = grant(entry, referred.found(), referred.is_on(&broker, ctx), asker);
        (entry, granted.map(|granted| brownout::closed(granted, entry, referred.found(), &settings.namespace, now)))
    });
    let granted: Vec<(&Entry, Result<Granted, Unusable>)> = granted.collect();
    // Rights that are there stay: a node that lacks a plugin for a moment must not close connections.
    let mut usable = granted.iter().filter_map(|(_, result)| result.as_ref().ok());
    if let Some(refusal) = usable.find_map(|granted| lacks_filters_to_send(&broker, granted)) {
        return rest(ctx, &client, &refused(refusal)).await;
    }
    if let Some(Refusal { reason, message }) = barrier(&broker) {
        let facts = Facts { broker: &broker, virtual_host: &host, binding: None, contracts: None };
        return end(ctx, &client, &Outcome::NotReady { reason, message }, Some(&facts), Action::requeue(OUTAGE)).await;
    }
    let link = match ctx.links.get(&broker).await {
        Ok(link) => link,
        Err(no_link) => {
            let facts = Facts { broker: &broker, virtual_host: &host, binding: None, contracts: None };
            return end(ctx, &client, &not_linked(&broker, &no_link), Some(&facts), Action::requeue(OUTAGE)).await;
        }
    };
    // Gone again in this very moment: the next visit begins anew.
    let Some(endpoint) = ctx.links.endpoint(&link.uid).await else { return Ok(Action::requeue(WAIT)) };
    let host = link.host(&host);
    let owner = client.uid().unwrap_or_default();
    let owner = Owner { namespace: &settings.namespace, name: &settings.name, uid: &owner };
    let visit = Visit { ctx, settings: &settings, owner, broker: &broker, link: &link, host: &host, endpoint: &endpoint };
    visit.serve(client.clone(), &granted).await
}

/// A visit that changes nothing, but for what was taken back by its owner.
async fn rest(ctx: &ClientContext, client: &Client, outcome: &Outcome) -> Result<Action, Error> {
    if writes::is_held(client)
        && let Some(broker) = ctx.broker(client).ok().or_else(|| ctx.last_broker(client))
        && let Err(error) = shrink(ctx, client, &broker).await
    {
        tracing::warn!(%error, "what may no longer be used is perhaps still in use; this is tried again");
        return Ok(Action::requeue(OUTAGE));
    }
    end(ctx, client, outcome, None, Action::requeue(ctx.resync)).await
}

fn refused(Refusal { reason, message }: Refusal) -> Outcome {
    Outcome::NotReady { reason, message }
}

async fn end(
    ctx: &ClientContext,
    client: &Client,
    outcome: &Outcome,
    facts: Option<&Facts<'_>>,
    action: Action,
) -> Result<Action, Error> {
    let now = Timestamp::now();
    let mut new = status(client, outcome, facts, now);
    if *outcome != Outcome::Paused {
        let own = client.namespace().unwrap_or_default();
        let used = ctx.contracts_of(client);
        told::tell(ctx, &own, used, &mut new.conditions, client.metadata.generation, now);
    }
    writes::report(ctx, &ctx.written, client, new).await?;
    Ok(action)
}

struct Visit<'a> {
    ctx: &'a ClientContext,
    settings: &'a Settings,
    owner: Owner<'a>,
    broker: &'a Broker,
    link: &'a Link,
    host: &'a Host,
    endpoint: &'a Endpoint,
}

impl Visit<'_> {
    async fn serve(&self, mut client: Client, granted: &[(&Entry, Result<Granted, Unusable>)]) -> Result<Action, Error> {
        if self.link.down_for().is_some_and(|silence| silence >= SILENCE) {
            let message = "the broker does not answer; what is told here was last seen before".to_owned();
            let outcome = Outcome::Unseen { reason: reasons::BROKER_UNREACHABLE, message };
            return self.end(&client, &outcome, None, None, OUTAGE).await;
        }
        if let Err(error) = self.know().await {
            return self.halted(&client, self.failure(&client, &error).await).await;
        }
        // The finalizer stands before the first write to the broker, and only then: what was never made holds nothing up.
        if !writes::is_held(&client) {
            let status = client.status.take();
            client = writes::add_finalizer(self.ctx, &client).await?;
            client.status = status;
        }
        let result = match self.keep(&client, granted).await {
            Ok(action) => Ok(action),
            Err(halt) => self.halted(&client, halt).await,
        };
        if result.as_ref().is_err_and(Error::is_gone) {
            // It went while this visit made its users: whoever looked before did not find them.
            clean_up(self.ctx, &client).await;
        }
        result
    }

    async fn know(&self) -> Result<(), LinkError> {
        self.link.know(self.host).await?;
        self.link.know_users(self.ctx.resync).await
    }

    async fn keep(&self, client: &Client, granted: &[(&Entry, Result<Granted, Unusable>)]) -> Result<Action, Halt> {
        let used = granted.iter().any(|(_, result)| result.is_ok());
        if used || self.host.name == self.settings.namespace {
            let owned = virtual_host(&self.host.name, &self.link.uid);
            let laid = self.link.lay_foundation(self.host, &owned, &limits(&self.broker.spec.limits)).await;
            self.check(client, laid).await?;
        }
        let summary = self.host.look(|seen| sum(granted, seen));
        let stored = secrets::read(self.ctx, self.owner, &self.settings.secret).await;
        let stored = match stored {
            Ok(Stored::Own(secret)) => Some(*secret),
            Ok(Stored::Absent) => None,
            Ok(Stored::Foreign) => {
                return Err(self.without_secret(client, &summary, &foreign(&self.settings.secret), FOREIGN).await);
            }
            Err(error) => {
                return Err(self.without_secret(client, &summary, &unreadable(self.settings, &error), self.ctx.resync).await);
            }
        };
        // A Secret that was written under another name before is the record until the new one is written.
        let before = if stored.is_none() { self.former_secret(client).await? } else { None };
        let known = stored.as_ref().or(before.as_ref()).and_then(|secret| record(secret, self.owner));
        match self.decide(client, known.as_ref()) {
            Step::Begin { username, previous } => {
                let known = self.begin(client, &summary, known.as_ref(), username, previous).await?;
                self.write(&summary, stored.as_ref(), &known).await?;
                self.ctx.passwords.note(self.owner.uid, &known.username);
                self.drop_former(before.as_ref()).await?;
                let Step::Keep(kept) = self.decide(client, Some(&known)) else { return Err(Halt::Quiet(WAIT)) };
                self.complete(client, &summary, &known, &kept).await
            }
            Step::Keep(kept) => {
                let Some(known) = known else { return Err(Halt::Quiet(WAIT)) };
                let known = Record { rotated_at: Some(kept.rotated_at), ..known };
                // The Secret first names what is there, so the users come first.
                self.run_users(client, &self.desired(&summary, &known, &kept, false)).await?;
                self.write(&summary, stored.as_ref(), &known).await?;
                self.drop_former(before.as_ref()).await?;
                self.complete(client, &summary, &known, &kept).await
            }
        }
    }

    fn decide(&self, client: &Client, record: Option<&Record>) -> Step {
        let Settings { namespace, name, every, overlap, .. } = self.settings;
        let serials = self.own_serials();
        decide(&Known {
            namespace,
            client: name,
            record,
            last_user: client.status.as_ref().and_then(|status| status.username.as_deref()),
            serials: &serials,
            request: client.annotations().get(ROTATE_ANNOTATION).map(String::as_str),
            every: *every,
            overlap: *overlap,
            written_ago: record.and_then(|record| self.ctx.passwords.age(self.owner.uid, &record.username)),
            now: Timestamp::now(),
        })
    }

    /// Serials of this Client's users at the broker, by their names alone: whose they are, `diff` judges.
    fn own_serials(&self) -> BTreeSet<u64> {
        let Settings { namespace, name, .. } = self.settings;
        self.link.users.look(|seen| seen.users.keys().filter_map(|user| serial_of(namespace, name, user)).collect())
    }

    fn user(&self, serial: u64) -> String {
        entente_core::client::identity::user_name(&self.settings.namespace, &self.settings.name, serial)
    }

    /// Makes a new user with full rights. Nobody knows of it before the Secret names it.
    async fn begin(
        &self,
        client: &Client,
        summary: &Summary,
        before: Option<&Record>,
        username: String,
        previous: Option<String>,
    ) -> Result<Record, Halt> {
        let password = Password::new(random_text()?);
        let hash = PasswordHash::of(&username, &password);
        let alive = |user: String, password_hash| Alive { user, password_hash };
        let mut desired = self.bare(summary);
        desired.alive.push(alive(username.clone(), Some(hash)));
        // Those that are alive stay so until the new one is in the Secret.
        let living = before.map(|before| (before.username.clone(), Some(PasswordHash::of(&before.username, &before.password))));
        desired.alive.extend(living.map(|(user, hash)| alive(user, hash)));
        if let Some(previous) = previous.clone().filter(|user| desired.alive.iter().all(|alive| alive.user != *user)) {
            desired.alive.push(alive(previous, None));
        }
        self.run_users(client, &desired).await?;
        let serial = serial_of(&self.settings.namespace, &self.settings.name, &username).unwrap_or_default();
        let request = request(client.annotations().get(ROTATE_ANNOTATION).map(String::as_str));
        Ok(Record { username, serial, password, rotated_at: Some(Timestamp::now()), request, previous })
    }

    fn bare(&self, summary: &Summary) -> Desired {
        Desired {
            owner_tag: owner_tag(&self.link.uid),
            alive: Vec::new(),
            virtual_host: self.host.name.clone(),
            rights: summary.rights.clone(),
            surplus: Vec::new(),
        }
    }

    /// The users as they are to be. `end` takes away those that are no longer alive.
    fn desired(&self, summary: &Summary, known: &Record, kept: &Kept, end: bool) -> Desired {
        let mut desired = self.bare(summary);
        let hash = PasswordHash::of(&known.username, &known.password);
        desired.alive.push(Alive { user: known.username.clone(), password_hash: Some(hash) });
        desired.alive.extend(kept.previous.iter().map(|(user, _)| Alive { user: user.clone(), password_hash: None }));
        if end {
            let users = self.own_serials().into_iter().map(|serial| self.user(serial));
            desired.surplus = users.filter(|user| desired.alive.iter().all(|alive| alive.user != *user)).collect();
        }
        desired
    }

    async fn complete(&self, client: &Client, summary: &Summary, known: &Record, kept: &Kept) -> Result<Action, Halt> {
        self.run_users(client, &self.desired(summary, known, kept, true)).await?;
        self.put_fronts(client, summary).await?;
        let binding = Some((self.settings.secret.as_str(), known, kept));
        let outcome = outcome(summary);
        let again = match (&outcome, summary.missing.is_empty()) {
            (_, false) => WAIT,
            _ => self.ctx.resync,
        };
        // What is closed for a while is opened in time, whether or not anybody could write that it is.
        let next = [kept.look_again, summary.opens_at].into_iter().flatten().min();
        let until = next.map(|at| Duration::try_from(at.duration_since(Timestamp::now())).unwrap_or_default());
        let again = until.map_or(again, |until| again.min(until.max(Duration::from_millis(50))));
        // A new password was perhaps written a moment ago: the object that this visit began with does not know.
        let client = self.ctx.written.refresh(client);
        Ok(self.end(&client, &outcome, binding, Some(&summary.contracts), again).await?)
    }

    /// Exchanges in front of the queues that are sent to.
    async fn put_fronts(&self, client: &Client, summary: &Summary) -> Result<(), Halt> {
        let nothing = ObservedVirtualHost::default();
        let plan = self.host.look(|seen| diff_topology(&fronts(&summary.fronts), seen.unwrap_or(&nothing)));
        let plan = plan.map_err(|conflict: Conflict| Halt::Told(conflicts(conflict.to_string()), self.ctx.resync))?;
        let done = self.link.run(self.host, &plan).await;
        self.check(client, done).await
    }

    async fn run_users(&self, client: &Client, desired: &Desired) -> Result<(), Halt> {
        let actions: Result<Vec<UserAction>, Foreign> = self.link.users.look(|seen| diff(desired, seen));
        let actions = actions.map_err(|foreign| Halt::Told(conflicts(foreign.to_string()), self.ctx.resync))?;
        let done = self.link.run_users(&actions).await;
        if matches!(&done, Err(LinkError::Admin(AdminError::Refused { .. } | AdminError::NotFound(_)))) {
            // Something is there, or not there, which was otherwise when last looked: the next visit looks afresh.
            let _ = self.link.refresh_users().await;
        }
        self.check(client, done).await
    }

    async fn write(&self, summary: &Summary, stored: Option<&Secret>, known: &Record) -> Result<(), Halt> {
        let Settings { secret: name, .. } = self.settings;
        let wanted = secret(self.owner, name, known, self.endpoint, &self.host.name, &summary.addresses);
        match secrets::write(self.ctx, stored, &wanted).await {
            Err(error) if is_forbidden(&error) => Err(Halt::Told(unreadable(self.settings, &error), self.ctx.resync)),
            other => Ok(other?),
        }
    }

    /// The Secret cannot be written, for whatever reason: no new password, but rights that were taken away end all the same.
    async fn without_secret(&self, client: &Client, summary: &Summary, told: &Outcome, again: Duration) -> Halt {
        let mut desired = self.bare(summary);
        let tag = &desired.owner_tag;
        let own = |user: &String| self.link.users.look(|seen| seen.users.get(user).is_some_and(|seen| seen.tags.contains(tag)));
        let users = self.own_serials().into_iter().map(|serial| self.user(serial)).filter(own);
        desired.alive = users.map(|user| Alive { user, password_hash: None }).collect();
        match self.run_users(client, &desired).await {
            Ok(()) => Halt::Told(told.clone(), again),
            Err(halt) => halt,
        }
    }

    async fn former_secret(&self, client: &Client) -> Result<Option<Secret>, Error> {
        let binding = client.status.as_ref().and_then(|status| status.binding.as_ref());
        let Some(former) = binding.map(|binding| &binding.name).filter(|name| **name != self.settings.secret) else {
            return Ok(None);
        };
        match secrets::read(self.ctx, self.owner, former).await? {
            Stored::Own(secret) => Ok(Some(*secret)),
            Stored::Absent | Stored::Foreign => Ok(None),
        }
    }

    async fn drop_former(&self, former: Option<&Secret>) -> Result<(), Error> {
        if let Some(former) = former {
            secrets::delete(self.ctx, former).await?;
        }
        Ok(())
    }

    async fn check(&self, client: &Client, result: Result<(), LinkError>) -> Result<(), Halt> {
        match result {
            Ok(()) => Ok(()),
            Err(error) => Err(self.failure(client, &error).await),
        }
    }

    async fn failure(&self, client: &Client, error: &LinkError) -> Halt {
        let message = error.to_string();
        match error {
            LinkError::NotOurs(_) => Halt::Told(conflicts(message), self.ctx.resync),
            _ if error.is_outage() && !is_ready(self.broker) => {
                let message = "the Broker does not serve yet; this goes on by itself once it does".to_owned();
                Halt::Told(Outcome::NotReady { reason: reasons::BROKER_NOT_READY, message }, OUTAGE)
            }
            // A moment's silence is no news: the status says so when it lasts.
            _ if error.is_outage() && client.status.is_some() => Halt::Quiet(OUTAGE),
            _ if error.is_outage() => Halt::Told(Outcome::Unseen { reason: reasons::BROKER_UNREACHABLE, message }, OUTAGE),
            LinkError::Admin(AdminError::Unauthorized) => {
                self.ctx.links.forget(&self.link.uid).await;
                Halt::Told(Outcome::Unseen { reason: reasons::BROKER_UNREACHABLE, message }, WAIT)
            }
            _ => Halt::Told(Outcome::NotReady { reason: reasons::BROKER_REFUSED, message }, WAIT),
        }
    }

    async fn halted(&self, client: &Client, halt: Halt) -> Result<Action, Error> {
        match halt {
            Halt::Told(outcome, again) => self.end(client, &outcome, None, None, again).await,
            Halt::Quiet(again) => Ok(Action::requeue(again)),
            Halt::Failed(error) => Err(error),
        }
    }

    async fn end(
        &self,
        client: &Client,
        outcome: &Outcome,
        binding: Option<(&str, &Record, &Kept)>,
        contracts: Option<&BTreeSet<String>>,
        again: Duration,
    ) -> Result<Action, Error> {
        let facts = Facts { broker: self.broker, virtual_host: &self.host.name, binding, contracts };
        end(self.ctx, client, outcome, Some(&facts), Action::requeue(again)).await
    }
}

fn conflicts(message: String) -> Outcome {
    Outcome::NotReady { reason: reasons::CONFLICT, message }
}

fn foreign(secret: &str) -> Outcome {
    conflicts(format!(
        "the Secret {secret} exists and is not this Client's; it is left alone. Delete or rename it, or set spec.secretName"
    ))
}

fn is_forbidden(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 403)
}

fn unreadable(settings: &Settings, error: &kube::Error) -> Outcome {
    if is_forbidden(error) {
        let message = format!(
            "the operator may not read or write Secrets in {}; add the namespace to the chart's value clients.namespaces",
            settings.namespace
        );
        return Outcome::NotReady { reason: reasons::FORBIDDEN, message };
    }
    Outcome::Unseen { reason: reasons::FORBIDDEN, message: format!("the Secret {} cannot be read: {error}", settings.secret) }
}
