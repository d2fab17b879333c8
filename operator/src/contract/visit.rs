//! One visit to a `ServiceContract`.

use std::time::Duration;

use entente_core::conditions::is_true;
use entente_core::contract::conduct::{Surroundings, conduct};
use entente_core::contract::object::with_versions;
use entente_core::contract::spec;
use entente_core::object::{Reported, is_paused};
use entente_crds::ServiceContract;
use entente_crds::condition::types;
use jiff::SignedDuration;
use kube::ResourceExt;
use kube::runtime::controller::Action;

use super::{ContractContext, checks, measured, refused, told, usage};
use crate::objects::reconcile::{Error, OUTAGE, reconcile};
use crate::objects::writes;

/// How often a version that is about to go is looked at.
const ENDING: Duration = Duration::from_secs(10);

/// How soon the first figures of probes are looked for.
const FIRST_FIGURES: SignedDuration = SignedDuration::from_secs(3);

/// Visits.
pub async fn visit(contract: &ServiceContract, ctx: &ContractContext) -> Result<Action, Error> {
    let contract = ctx.objects.written.refresh(contract);
    let idle = contract.metadata.deletion_timestamp.is_some() || is_paused(&contract);
    let Some(rules) = spec::validate(&contract).ok().filter(|_| !idle) else {
        return reconcile(&contract, &ctx.objects).await;
    };
    let assessments = ctx.assessed.of(&ctx.objects, &contract).await;
    let uses = usage::read(&contract, ctx).await;
    let last = contract.status.clone().unwrap_or_default();
    let uid = contract.uid().unwrap_or_default();
    let (reading, jumped) = ctx.clock.look(&uid);
    let now = reading.shown;
    let looked = conduct(&contract.spec, rules, &last.versions, &Surroundings { assessments, uses, jumped }, now);
    let mut status = with_versions(last.clone(), looked.versions);
    status.assurances = measured::measured(&contract, ctx, now).await;
    checks::checked(&contract, ctx, &mut status.versions, now).await;
    let (news, counted) = refused::count(&contract, ctx, &mut status.versions).await;
    if status != last {
        // Before the broker is changed, which follows the states that are stored.
        let stored = writes::report_unchanged(&ctx.objects, &ctx.objects.written, &contract, status.clone()).await;
        if stored.is_err() {
            refused::put_back(&contract, ctx, &counted);
        }
        stored?;
        told::refused(&ctx.objects, &contract, &status.versions, &news);
        told::moved(&ctx.objects, &contract, &looked.moves);
        told::rehearsed(&ctx.objects, &contract, &last.versions, &status.versions);
        checks::tell(&ctx.objects, &contract, &last.versions, &status.versions);
    }
    ctx.clock.keep(&uid, reading);
    let contract = ctx.objects.written.refresh(&contract);
    told::figures(&ctx.objects, &contract, now);
    let action = reconcile(&contract, &ctx.objects).await?;
    let contract = ctx.objects.written.refresh(&contract);
    let first = measured::is_awaited(&contract, ctx).then_some(FIRST_FIGURES);
    let look_again = [looked.look_again, first].into_iter().flatten().min();
    Ok(again(&contract, look_again, ctx.resync).unwrap_or(action))
}

/// When to come again; nothing where the pipeline knows better.
fn again(contract: &ServiceContract, look_again: Option<SignedDuration>, resync: Duration) -> Option<Action> {
    let status = contract.last_status()?;
    let deadline = look_again.map(|wait| Duration::try_from(wait).unwrap_or_default());
    let ending = usage::is_ending(contract).then_some(ENDING);
    let trouble = (!is_true(&status.conditions, types::READY)).then_some(2 * OUTAGE);
    let all = [Some(resync), deadline, ending, trouble];
    all.into_iter().flatten().min().map(Action::requeue)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn contract(ready: &str, versions: &Value) -> ServiceContract {
        let at = "2026-01-01T00:00:00Z";
        let spec = json!({
            "owner": "orders",
            "operations": [{"name": "placed", "action": "Send"}],
            "versions": [{"name": "v1", "desiredState": "Deprecated", "messages": []}],
        });
        let mut contract = ServiceContract::new("orders", serde_json::from_value(spec).unwrap());
        let ready = json!({"type": "Ready", "status": ready, "reason": "R", "message": "", "lastTransitionTime": at});
        let status = json!({"conditions": [ready], "versions": versions});
        contract.status = Some(serde_json::from_value(status).unwrap());
        contract
    }

    #[test]
    fn it_wakes_at_the_next_deadline_and_no_later_than_the_resync() {
        let minute = Duration::from_mins(1);
        let wait = |seconds: i64| Some(SignedDuration::from_secs(seconds));
        let at = "2026-01-01T00:00:00Z";
        let version = |state: &str, retirable: bool| json!([{"name": "v1", "state": state, "since": at, "watchedAt": at, "retirable": retirable}]);
        for (ready, versions, look_again, expected) in [
            ("True", json!([]), None, 60),
            ("True", version("Deprecated", false), wait(7), 7),
            ("True", version("Deprecated", false), wait(700), 60),
            ("True", version("Sunset", false), wait(700), 10),
            ("True", version("Sunset", true), None, 60),
            ("False", json!([]), None, 4),
        ] {
            let found = again(&contract(ready, &versions), look_again, minute);
            assert_eq!(found, Some(Action::requeue(Duration::from_secs(expected))), "{ready} {versions}");
        }
        assert_eq!(again(&ServiceContract::new("c", contract("True", &json!([])).spec), None, minute), None);
    }
}
