//! A visit to a Client that is being deleted: its users go, and their connections with them. The Secret goes by its owner.
//!
//! Users are removed whatever the order of deletions; where there is no way to the broker any more, nothing holds the
//! finalizer (invariant I4). In a namespace that is being deleted one attempt is made, and the finalizer goes whatever comes of it.

use std::sync::Arc;
use std::time::Duration;

use entente_broker::admin::AdminError;
use entente_core::client::diff::{Desired, diff};
use entente_core::client::identity::serial_of;
use entente_core::client::status::status;
use entente_core::object::Outcome;
use entente_core::topology::foundation::owner_tag;
use entente_crds::condition::reasons;
use entente_crds::{Broker, Client};
use jiff::Timestamp;
use kube::ResourceExt;
use kube::runtime::controller::Action;
use kube::runtime::events::EventType;

use super::context::ClientContext;
use super::reconcile::Error;
use crate::links::{LinkError, Links, NoLink};
use crate::objects::deletion::no_credentials;
use crate::objects::reconcile::OUTAGE;
use crate::objects::writes;

/// Wait before another attempt for a Client that is gone.
const PAUSE: Duration = Duration::from_secs(2);
/// Then its users stay in the broker, and the log says so.
const ATTEMPTS: u32 = 30;
/// The one attempt in a namespace that is being deleted.
const AT_MOST: Duration = Duration::from_secs(25);

/// Why users were not removed.
#[derive(Debug, thiserror::Error)]
pub enum NotRetired {
    /// The Broker cannot be asked.
    #[error(transparent)]
    NoLink(#[from] NoLink),
    /// It did not do it.
    #[error(transparent)]
    Link(#[from] LinkError),
}

/// Visits.
pub async fn reconcile(client: &Client, ctx: &ClientContext) -> Result<Action, Error> {
    if !writes::is_held(client) {
        forget(client, ctx);
        return Ok(Action::await_change());
    }
    let broker = ctx.broker(client).ok().or_else(|| ctx.last_broker(client));
    let Some(broker) = broker else {
        return release(ctx, client, "no Broker serves this Client any more; nothing was deleted in a broker").await;
    };
    if broker.metadata.deletion_timestamp.is_some() {
        return release(ctx, client, "its Broker is being deleted").await;
    }
    let terminating = ctx.is_terminating(&client.namespace().unwrap_or_default());
    let retired = if terminating {
        tokio::time::timeout(AT_MOST, retire(&ctx.links, client, &broker)).await.unwrap_or(Err(LinkError::HeldBack.into()))
    } else {
        retire(&ctx.links, client, &broker).await
    };
    match retired {
        Ok(()) => release(ctx, client, "its users were deleted in the broker, and their connections closed").await,
        Err(NotRetired::NoLink(error)) if no_credentials(&broker, &error) => {
            release(ctx, client, "the Broker's credentials are gone; nothing was deleted in the broker").await
        }
        Err(NotRetired::Link(LinkError::Admin(AdminError::Unauthorized))) => {
            ctx.links.forget(&broker.uid().unwrap_or_default()).await;
            release(ctx, client, "the Broker's credentials are not accepted; nothing was deleted in the broker").await
        }
        Err(error) if terminating => {
            tracing::warn!(%error, "the namespace is being deleted and does not wait for the Client's users; they are deleted later");
            retire_later(ctx, client, &broker);
            release(ctx, client, "the namespace is being deleted and the broker did not answer; its users are deleted later")
                .await
        }
        Err(error) => {
            let outcome = Outcome::NotReady { reason: reasons::DELETING, message: format!("deletion waits: {error}") };
            writes::report(ctx, &ctx.written, client, status(client, &outcome, None, Timestamp::now())).await?;
            Ok(Action::requeue(OUTAGE))
        }
    }
}

/// Deletes all users of a Client at a Broker, and closes their connections.
pub async fn retire(links: &Links, client: &Client, broker: &Broker) -> Result<(), NotRetired> {
    let link = links.get(broker).await?;
    // Afresh: a leader that was killed may have made one after this one's last look.
    link.refresh_users().await?;
    let (namespace, name) = (client.namespace().unwrap_or_default(), client.name_any());
    let own = |user: &&String| serial_of(&namespace, &name, user).is_some();
    let surplus = link.users.look(|seen| seen.users.keys().filter(own).cloned().collect());
    let desired = Desired { owner_tag: owner_tag(&link.uid), surplus, ..Desired::default() };
    // Nothing is wanted, so that nothing can be in the way: users that are not ours are passed over (invariant I2).
    let actions = link.users.look(|seen| diff(&desired, seen)).unwrap_or_default();
    Ok(link.run_users(&actions).await?)
}

/// Goes on for a while without holding anything up.
fn retire_later(ctx: &ClientContext, client: &Client, broker: &Broker) {
    let (links, client, broker) = (Arc::clone(&ctx.links), client.clone(), broker.clone());
    tokio::spawn(async move {
        for _ in 0..ATTEMPTS {
            tokio::time::sleep(PAUSE).await;
            if retire(&links, &client, &broker).await.is_ok() {
                return;
            }
        }
        let (namespace, name) = (client.namespace().unwrap_or_default(), client.name_any());
        tracing::warn!(namespace, name, "the Client's users stay in the broker, which did not answer");
    });
}

async fn release(ctx: &ClientContext, client: &Client, note: &str) -> Result<Action, Error> {
    writes::remove_finalizer(ctx, client).await?;
    writes::tell(ctx, client, EventType::Normal, "Deleted", note);
    forget(client, ctx);
    Ok(Action::await_change())
}

fn forget(client: &Client, ctx: &ClientContext) {
    ctx.written.forget(client);
    ctx.passwords.forget(&client.uid().unwrap_or_default());
}
