//! One look at a Broker that stands for a RabbitMQ of somebody else: nothing is made in Kubernetes, and nothing is written
//! to the RabbitMQ. What it says of itself becomes the status.

use std::time::Duration;

use entente_core::cluster::external::status::{Look, next};
use entente_core::cluster::external::{SeenExternal, Trouble};
use entente_core::cluster::names::Identity;
use entente_core::cluster::validate;
use entente_core::conditions::{self, Status};
use entente_crds::condition::types;
use entente_crds::{Broker, BrokerStatus};
use jiff::Timestamp;

use super::context::BrokerContext;
use super::controller::{Error, LATER, Outcome, SOON, write_status};
use super::observe::PROBE_TIMEOUT;

/// How soon to look again where a person has to do something in a place that is not watched: a Secret, a user, a plugin.
const MENDED: Duration = Duration::from_secs(5);

/// Looks.
pub async fn look(
    ctx: &BrokerContext,
    broker: &Broker,
    identity: Identity<'_>,
    before: &BrokerStatus,
    now: Timestamp,
) -> Result<Outcome, Error> {
    if let Err(refusal) = validate::validate(broker) {
        write_status(ctx, broker, identity, before, next(before, broker, Look::Refused(&refusal), now)).await?;
        // Only a change of the spec helps.
        return Ok(Outcome { again: None });
    }
    let (after, silent) = match ask(ctx, broker, identity).await {
        Ok(seen) => (next(before, broker, Look::Seen(&seen), now), false),
        Err((trouble, times)) => {
            let silent = matches!(trouble, Trouble::Silent(_));
            (next(before, broker, Look::Failed { trouble: &trouble, times }, now), silent)
        }
    };
    let ready = conditions::get(&after.conditions, types::READY).is_some_and(|ready| ready.status == Status::True.as_str());
    write_status(ctx, broker, identity, before, after).await?;
    let again = if silent {
        SOON
    } else if ready {
        LATER
    } else {
        MENDED
    };
    Ok(Outcome { again: Some(again) })
}

async fn ask(ctx: &BrokerContext, broker: &Broker, identity: Identity<'_>) -> Result<SeenExternal, (Trouble, u32)> {
    let answer = match tokio::time::timeout(PROBE_TIMEOUT, ctx.probe.probe_external(broker)).await {
        Ok(answer) => answer,
        Err(_) => Err(Trouble::Silent(format!("no answer within {} s", PROBE_TIMEOUT.as_secs()))),
    };
    ctx.remember(identity.uid, |memory| match answer {
        Ok(seen) => {
            memory.silences = 0;
            memory.silent_why = None;
            Ok(seen)
        }
        Err(trouble) => {
            memory.silences = memory.silences.saturating_add(1);
            let trouble = match trouble {
                // It was not even asked. The reason stays the one before, or the status would change back and forth.
                Trouble::Silent(why) if why.is_empty() => {
                    Trouble::Silent(memory.silent_why.clone().unwrap_or_else(|| "it has not answered lately".to_owned()))
                }
                Trouble::Silent(why) => {
                    memory.silent_why = Some(why.clone());
                    Trouble::Silent(why)
                }
                other => other,
            };
            Err((trouble, memory.silences))
        }
    })
}
