//! The broker objects that a contract's versions stand for.
//!
//! For each operation of each offered version two exchanges: one that is sent to, and the outlet that Subscriptions are bound to. What
//! is sent under a newer version of an operation that the owner sends goes to the outlets of the older ones too that can read it.
//! From an outlet nothing leads on, so that there is no loop, and nobody gets what he cannot read by a detour. A queue that is bound
//! to several outlets gets a message once.

use entente_crds::ServiceContract;
use entente_crds::service_contract::{Action, DesiredState, VersionState, VersionStatus};

use super::spec;
use super::terms::is_offered;
use crate::object::{Refusal, Stages};
use crate::topology::diff::{Claim, Desired, Scope};
use crate::topology::model::{Arguments, Binding, ExchangeDeclaration, SQL_EXCHANGE};
use crate::topology::names::{contract_exchange, contract_outlet};

/// A contract whose rules hold, with its versions in the states that its status records.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// Its name.
    pub name: String,
    /// Operations that are offered.
    pub offers: Vec<Offer>,
    /// Operations that no longer are.
    pub closed: Vec<(String, String)>,
    /// Versions that are not where they should be, and will not be until the spec changes.
    pub refused: Option<String>,
    /// The versions and their states, in words.
    pub summary: String,
}

/// An operation of an offered version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// The version.
    pub version: String,
    /// The operation.
    pub operation: String,
    /// Older versions that get its messages as well.
    pub feeds: Vec<String>,
}

/// What a contract stands for.
///
/// # Errors
/// Its spec breaks a rule.
pub fn settings(contract: &ServiceContract) -> Result<Settings, Refusal> {
    spec::validate(contract)?;
    let recorded = contract.status.as_ref().map(|status| status.versions.as_slice()).unwrap_or_default();
    let status = |name: &str| recorded.iter().find(|known| known.name == name);
    let mut settings = Settings { name: contract.metadata.name.clone().unwrap_or_default(), ..Settings::default() };
    for version in &contract.spec.versions {
        let Some(known) = status(&version.name) else { continue };
        for message in &version.messages {
            let place = (version.name.clone(), message.operation.clone());
            if !is_offered(known.state) {
                settings.closed.extend((known.state == VersionState::Retired).then_some(place));
                continue;
            }
            let sent =
                contract.spec.operations.iter().any(|known| known.name == message.operation && known.action == Action::Send);
            let describes = |name: &&String| {
                let older = contract.spec.versions.iter().find(|older| older.name == **name);
                older.is_some_and(|older| older.messages.iter().any(|known| known.operation == message.operation))
                    && status(name).is_some_and(|known| is_offered(known.state))
            };
            let feeds = known.feeds.iter().filter(|_| sent).filter(describes).cloned().collect();
            settings.offers.push(Offer { version: place.0, operation: place.1, feeds });
        }
    }
    settings.refused = refused(contract, recorded);
    let words: Vec<String> = recorded.iter().map(|known| format!("{} {:?}", known.name, known.state)).collect();
    settings.summary = words.join(", ");
    Ok(settings)
}

fn refused(contract: &ServiceContract, recorded: &[VersionStatus]) -> Option<String> {
    let texts = recorded.iter().filter_map(|known| {
        let message = known.message.as_ref()?;
        let version = contract.spec.versions.iter().find(|version| version.name == known.name);
        let ends = matches!(known.state, VersionState::Deprecated | VersionState::Sunset);
        let waits = version
            .is_some_and(|version| ends && matches!(version.desired_state, DesiredState::Deprecated | DesiredState::Retired));
        (!waits).then(|| format!("{}: {message}", known.name))
    });
    let texts: Vec<String> = texts.collect();
    (!texts.is_empty()).then(|| texts.join("; "))
}

/// Translates settings.
pub fn desired(settings: &Settings) -> Stages {
    let Settings { name, offers, closed, refused: _, summary: _ } = settings;
    let mut usable = Desired::default();
    let exchange = |name: String, kind: &str| ExchangeDeclaration { name, kind: kind.to_owned(), arguments: Arguments::new() };
    for Offer { version, operation, feeds } in offers {
        let source = contract_exchange(name, version, operation);
        usable.exchanges.push(exchange(contract_outlet(name, version, operation), SQL_EXCHANGE));
        usable.exchanges.push(exchange(source.clone(), "fanout"));
        let outlets = [version].into_iter().chain(feeds);
        let bindings =
            outlets.map(|version| Binding::to_exchange(&source, &contract_outlet(name, version, operation), "")).collect();
        usable.claims.push(Claim { scope: Scope::Keys { source, prefix: String::new() }, bindings });
    }
    for (version, operation) in closed {
        usable.surplus_exchanges.push(contract_exchange(name, version, operation));
        usable.surplus_exchanges.push(contract_outlet(name, version, operation));
    }
    Stages { usable, complete: Desired::default() }
}

#[cfg(test)]
#[path = "offer_tests.rs"]
mod tests;
