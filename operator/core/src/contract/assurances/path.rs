//! The way that probes take through the broker: as a contract's messages go, and beside them.
//!
//! An exchange that is sent to, an outlet, and a replicated queue, all in the contract's virtual host and of the kinds that its own are.
//! Not its own exchanges: whoever is bound there without a filter would get the probes. All contracts of a virtual host share the way.

use serde_json::json;

use crate::topology::diff::{Claim, Desired, Scope};
use crate::topology::foundation::PROBE;
use crate::topology::model::{Arguments, Binding, ExchangeDeclaration, QueueDeclaration, QueueKind, SQL_EXCHANGE};
use crate::topology::observed::ObservedVirtualHost;

/// The outlet.
const OUTLET: &str = "entente.probe.out";
/// A queue that nobody reads any more goes by itself.
const EXPIRES_MILLIS: u64 = 600_000;
/// More than these are not kept while nobody can read them.
const MOST_MESSAGES: u64 = 1_000;

/// What must be there.
pub fn desired() -> Desired {
    let exchange = |name: &str, kind: &str| ExchangeDeclaration {
        name: name.to_owned(),
        kind: kind.to_owned(),
        arguments: Arguments::new(),
    };
    let arguments =
        Arguments::from([("x-expires".to_owned(), json!(EXPIRES_MILLIS)), ("x-max-length".to_owned(), json!(MOST_MESSAGES))]);
    let to_outlet = Binding::to_exchange(PROBE, OUTLET, "");
    Desired {
        exchanges: vec![exchange(OUTLET, SQL_EXCHANGE), exchange(PROBE, "fanout")],
        queues: vec![QueueDeclaration { name: PROBE.to_owned(), kind: QueueKind::Quorum, arguments }],
        claims: vec![
            Claim { scope: Scope::Keys { source: PROBE.to_owned(), prefix: String::new() }, bindings: vec![to_outlet] },
            Claim::route(OUTLET, PROBE, Some(PROBE)),
        ],
        ..Desired::default()
    }
}

/// What must not be there any more. The queue goes by itself, as messages may still be in it.
pub fn surplus() -> Desired {
    Desired { surplus_exchanges: vec![PROBE.to_owned(), OUTLET.to_owned()], ..Desired::default() }
}

/// Whether anything of it is there that does not go by itself.
pub fn is_there(observed: &ObservedVirtualHost) -> bool {
    [PROBE, OUTLET].iter().any(|name| observed.exchanges.contains_key(*name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::diff::diff;
    use crate::topology::names::Owner;

    #[test]
    fn it_is_made_once_belongs_to_no_object_and_goes_again() {
        let mut seen = ObservedVirtualHost::default();
        let mut run = |wanted: &Desired| {
            let plan = diff(wanted, &seen).unwrap();
            plan.actions().for_each(|action| seen.note(action));
            (plan.actions().map(ToString::to_string).collect::<Vec<_>>(), is_there(&seen))
        };
        let (made, there) = run(&desired());
        assert_eq!((made.len(), there), (5, true), "{made:?}");
        assert!(run(&desired()).0.is_empty(), "i6");
        assert_eq!(run(&surplus()), (vec![format!("delete exchange {PROBE}"), format!("delete exchange {OUTLET}")], false));
        assert!(run(&surplus()).0.is_empty());
        for name in [PROBE, OUTLET] {
            assert_eq!((Owner::of_queue(name), Owner::of_exchange(name)), (None, None));
        }
    }
}
