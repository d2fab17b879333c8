//! Whether the versions of a contract can be read and honour each other.
//!
//! Operations have nothing to do with each other and are looked at side by side, on a few threads: a contract can hold megabytes of
//! schemas, and somebody waits for the answer.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::num::NonZero;
use std::thread;

use entente_crds::service_contract::{MessageSchema, Operation, SchemaFormat, ServiceContractSpec, Version};

use super::schemas::{Problem, name, spell};
use crate::contract::json_schema::{Breaks, History};
use crate::contract::kept::{Kept, text};
use crate::contract::terms::comparison;
use crate::contract::text::json;
use crate::contract::{Action, Change, Comparison, Format, Policy, Report, SchemaError, Side, check, fits, parse};

/// Asked before each piece of work; no ends it.
pub type GoOn<'a> = dyn Fn() -> bool + Sync + 'a;

/// Most threads for one contract. Each holds the schemas of one operation in memory.
const THREADS: usize = 2;
/// How much an operation holds in memory from one comparison to the next, in units of about 128 bytes: some 16 MiB.
const MOST_HELD: usize = 128_000;
/// The same, of all operations together, while others have their turn.
const MOST_LEFT: usize = 256_000;
/// Most breaks of one comparison that a message spells out.
const SPELT_OUT: usize = 3;

/// Compares the versions of one contract. What was read once is not read again.
pub struct Comparer<'a> {
    given: Given<'a>,
    lanes: Vec<Lane<'a>>,
}

#[derive(Clone, Copy)]
struct Given<'a> {
    spec: &'a ServiceContractSpec,
    kept: &'a Kept,
    go_on: &'a GoOn<'a>,
}

/// One operation through all versions.
struct Lane<'a> {
    operation: &'a Operation,
    history: History,
    /// How large the history may be that is left for the next visit.
    most_left: usize,
    /// JSON Schemas in the history, by version.
    numbers: BTreeMap<&'a str, usize>,
    /// By version: to hash what is in a ConfigMap once is enough.
    texts: BTreeMap<&'a str, Result<&'a str, String>>,
    /// Texts that are schemas of their format.
    sound: BTreeSet<(&'a str, &'static str)>,
    /// What is wrong, and with which of the versions that are looked at.
    found: Vec<(usize, Problem)>,
    /// Something was left out for lack of time.
    unfinished: bool,
    /// It had its turn.
    visited: bool,
}

impl<'a> Comparer<'a> {
    /// For one contract.
    pub fn new(spec: &'a ServiceContractSpec, kept: &'a Kept, go_on: &'a GoOn<'a>) -> Self {
        let lanes = spec.operations.iter().map(|operation| Lane::new(operation, spec)).collect();
        Self { given: Given { spec, kept, go_on }, lanes }
    }

    /// Whether something was left out for lack of time.
    pub fn unfinished(&self) -> bool {
        self.lanes.iter().any(|lane| lane.unfinished)
    }

    /// What is wrong with a version by itself. Messages that it had before are taken for good.
    pub fn read(&mut self, version: &'a Version, was: Option<&Version>) -> Vec<Problem> {
        let known: Vec<&str> = self.given.spec.operations.iter().map(|operation| operation.name.as_str()).collect();
        let lost = version.messages.iter().filter(|message| !known.contains(&message.operation.as_str()));
        let mut problems: Vec<Problem> = lost
            .map(|message| {
                Problem::Wrong(format!(
                    "version {}, operation {}: the contract has no such operation (it has {}); add it to operations, or correct the name",
                    version.name,
                    message.operation,
                    known.join(", ")
                ))
            })
            .collect();
        let found = self.each(|lane, given| {
            if let Some(message) = message_of(version, &lane.operation.name)
                && was.is_none_or(|was| !was.messages.contains(message))
            {
                let problem = lane.read(version, message, given);
                lane.found.extend(problem.map(|problem| (0, problem)));
            }
        });
        problems.extend(found.into_iter().map(|(_, problem)| problem));
        problems
    }

    /// Why versions do not honour others: for each what was found, nothing where it does.
    pub fn compare(&mut self, versions: &[(&'a Version, Vec<&'a Version>)]) -> Vec<Vec<Problem>> {
        let found = self.each(|lane, given| {
            for (at, (version, earlier)) in versions.iter().enumerate() {
                let version: &'a Version = version;
                let new = message_of(version, &lane.operation.name);
                for other in earlier.iter().copied() {
                    let problem = match (message_of(other, &lane.operation.name), new) {
                        (None, _) => None,
                        (Some(_), None) => Some(Problem::Wrong(format!(
                            "version {} has no messages for operation {}, which {} has: whoever relies on it would have nothing left; keep it",
                            version.name, lane.operation.name, other.name
                        ))),
                        (Some(old), Some(new)) => lane.compare((other, old), (version, new), given),
                    };
                    lane.found.extend(problem.map(|problem| (at, problem)));
                }
            }
        });
        let mut of_each = vec![Vec::new(); versions.len()];
        for (at, problem) in found {
            of_each[at].push(problem);
        }
        of_each
    }

    /// Does the same for each operation, and gives what was found, in their order.
    fn each(&mut self, work: impl Fn(&mut Lane<'a>, Given<'a>) + Sync) -> Vec<(usize, Problem)> {
        let (given, work) = (self.given, &work);
        let visit = move |lanes: &mut [Lane<'a>]| {
            for lane in lanes {
                work(lane, given);
                lane.visited = true;
                lane.forget_beyond(lane.most_left);
            }
        };
        let threads = thread::available_parallelism().map_or(1, NonZero::get).min(THREADS);
        if threads == 1 || self.lanes.len() == 1 {
            visit(self.lanes.as_mut_slice());
        } else {
            let share = self.lanes.len().div_ceil(threads);
            thread::scope(|scope| {
                for lanes in self.lanes.chunks_mut(share) {
                    // Without a thread its operations are not visited, which is seen below.
                    let _ = thread::Builder::new().spawn_scoped(scope, move || visit(lanes));
                }
            });
        }
        let mut found = Vec::new();
        for lane in &mut self.lanes {
            lane.unfinished |= !std::mem::take(&mut lane.visited);
            found.append(&mut lane.found);
        }
        found
    }
}

impl<'a> Lane<'a> {
    fn new(operation: &'a Operation, spec: &ServiceContractSpec) -> Self {
        Self {
            operation,
            history: History::new(Policy::from(spec.compatibility.policy)),
            most_left: MOST_LEFT / spec.operations.len().max(1),
            numbers: BTreeMap::new(),
            texts: BTreeMap::new(),
            sound: BTreeSet::new(),
            found: Vec::new(),
            unfinished: false,
            visited: false,
        }
    }

    fn text(&mut self, version: &'a Version, message: &'a MessageSchema, given: Given<'a>) -> Result<&'a str, String> {
        self.texts.entry(&version.name).or_insert_with(|| text(message, given.kept)).clone()
    }

    fn may_go_on(&mut self, given: Given<'_>) -> bool {
        self.unfinished |= !(given.go_on)();
        !self.unfinished
    }

    fn read(&mut self, version: &'a Version, message: &'a MessageSchema, given: Given<'a>) -> Option<Problem> {
        let place = format!("version {}, operation {}", version.name, self.operation.name);
        let text = match self.text(version, message, given) {
            Ok(text) => text,
            Err(problem) if message.config_map_ref.is_some() => return Some(Problem::Elsewhere(format!("{place}: {problem}"))),
            Err(problem) => return Some(Problem::Wrong(format!("{place}: {problem}"))),
        };
        let format = Format::from(message.format);
        if self.sound.contains(&(text, name(format))) || !self.may_go_on(given) {
            return None;
        }
        let read = match format {
            Format::JsonSchema => self.number(version, text).map(drop),
            Format::Avro | Format::Protobuf | Format::Opaque => parse(text, format),
        };
        match read {
            Ok(()) => {
                self.sound.insert((text, name(format)));
                None
            }
            Err(error) => {
                let at = if error.place.is_empty() { String::new() } else { format!("{}: ", error.place) };
                Some(Problem::Wrong(format!("{place}: this is no {} that can be used: {at}{}", name(format), error.problem)))
            }
        }
    }

    fn compare(
        &mut self,
        (other, old): (&'a Version, &'a MessageSchema),
        (version, new): (&'a Version, &'a MessageSchema),
        given: Given<'a>,
    ) -> Option<Problem> {
        let headline = format!("version {} does not honour {}, operation {}", version.name, other.name, self.operation.name);
        if old.format != new.format {
            let (old, new) = (name(Format::from(old.format)), name(Format::from(new.format)));
            return Some(Problem::Wrong(format!("{headline}: the format was {old} and is {new}; keep it, or add an operation")));
        }
        // What cannot be read is said once, of the version that it is of.
        let (Ok(before), Ok(after)) = (self.text(other, old, given), self.text(version, new, given)) else { return None };
        if before == after || !self.may_go_on(given) {
            return None;
        }
        let how = comparison(&given.spec.compatibility, self.operation.action, new.format);
        let report = match new.format {
            SchemaFormat::JsonSchema => self.json_schemas((other, before), (version, after), how),
            SchemaFormat::Avro | SchemaFormat::Protobuf | SchemaFormat::Opaque => check(before, after, how),
        };
        match report {
            Ok(report) if report.compatible() => None,
            Ok(report) => Some(Problem::Wrong(told(&headline, Action::from(self.operation.action), &report))),
            Err(error) => Some(Problem::Wrong(format!("{headline}: {error}"))),
        }
    }

    fn json_schemas(
        &mut self,
        (other, before): (&'a Version, &'a str),
        (version, after): (&'a Version, &'a str),
        how: Comparison,
    ) -> Result<Report, SchemaError> {
        let old = self.number(other, before).map_err(|error| error.on(Side::Old))?;
        let new = self.number(version, after)?;
        let Breaks { changes, witnesses, complete: _ } = self.history.breaks(old, new, how.direction);
        self.forget_beyond(MOST_HELD);
        Ok(Report::new(changes, witnesses))
    }

    /// Gives the memory back that what was read takes, if that is much.
    fn forget_beyond(&mut self, most: usize) {
        if self.history.size() > most {
            self.history.clear();
            self.numbers.clear();
        }
    }

    fn number(&mut self, version: &'a Version, text: &str) -> Result<usize, SchemaError> {
        if let Some(number) = self.numbers.get(version.name.as_str()) {
            return Ok(*number);
        }
        let number = fits(text).and_then(|()| self.history.add(&json(text)?))?;
        self.numbers.insert(&version.name, number);
        Ok(number)
    }
}

fn message_of<'a>(version: &'a Version, operation: &str) -> Option<&'a MessageSchema> {
    version.messages.iter().find(|message| message.operation == operation)
}

fn told(headline: &str, action: Action, report: &Report) -> String {
    let who = match action {
        Action::Send => "the owner sends, so readers of the old version must understand the new one",
        Action::Receive => "the owner receives, so what senders of the old version send must stay valid",
    };
    let breaks: Vec<&Change> = report.breaks().collect();
    let mut text = format!("{headline} ({who}):");
    for change in breaks.iter().take(SPELT_OUT) {
        text.push_str(&spell(change));
    }
    // Writing to a String does not fail.
    if breaks.len() > SPELT_OUT {
        let _ = write!(text, "\n  … and {} more", breaks.len() - SPELT_OUT);
    }
    if let Some(witness) = report.witnesses.first() {
        let message = witness.message.to_string();
        if message.len() <= 300 {
            let _ = write!(text, "\n  a message that shows it: {message}");
        }
    }
    text
}
