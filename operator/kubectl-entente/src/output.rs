//! What is printed.

use std::fmt::Write as _;
use std::io::{self, ErrorKind, Write as _};

use entente_core::contract::{Change, Effect, Report, Way};

use crate::Outcome;
use crate::contract::{Checked, State, Summary};

/// A text without what would steer a terminal: schemas are written by others.
pub fn plain(text: &str) -> String {
    text.chars().map(|char| if char.is_control() && char != '\n' { '\u{fffd}' } else { char }).collect()
}

/// As [`plain`], in one line: a name must not look like a line of ours.
fn line(text: &str) -> String {
    plain(text).replace('\n', "\u{fffd}")
}

/// Prints what was asked for. A reader that has had enough, as `head` has, changes nothing; where it cannot be written, as on a disk
/// that is full, nothing was answered.
pub fn say(text: &str, outcome: Outcome) -> Outcome {
    let mut out = io::stdout().lock();
    match writeln!(out, "{text}").and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => fail(&format!("the output cannot be written: {error}")),
        _ => outcome,
    }
}

/// Says why there is no answer.
pub fn fail(error: &str) -> Outcome {
    // There is nowhere else to say that this failed.
    let _ = writeln!(io::stderr(), "error: {}", plain(error));
    Outcome::Unusable
}

/// The result of `contract check`, for people.
pub fn human(summary: &Summary) -> String {
    let mut text = String::new();
    for contract in &summary.contracts {
        // Writing to a String does not fail.
        let _ = one(&mut text, contract);
    }
    let count = |wanted: fn(&State) -> bool| summary.contracts.iter().filter(|contract| wanted(&contract.state)).count();
    let bad = count(|state| matches!(state, State::Compared { compatible: false, .. } | State::Removed { .. }));
    let unusable = count(|state| matches!(state, State::Unusable { .. }));
    let total = summary.contracts.len();
    let result = if summary.compatible {
        "compatible"
    } else if bad > 0 {
        "INCOMPATIBLE"
    } else {
        "UNUSABLE"
    };
    let (direction, policy) = (format!("{:?}", summary.direction).to_lowercase(), format!("{:?}", summary.policy).to_lowercase());
    let _ = write!(text, "{result}: {} of {total} compatible, {bad} not", total - bad - unusable);
    if unusable > 0 {
        let _ = write!(text, ", {unusable} unusable");
    }
    let _ = write!(text, " ({direction}, {policy})");
    plain(&text)
}

fn one(text: &mut String, contract: &Checked) -> std::fmt::Result {
    let Checked { path, format: _, state } = contract;
    let path = line(path);
    match state {
        State::Compared { compatible, report } => {
            writeln!(text, "{path}: {}", if *compatible { "compatible" } else { "INCOMPATIBLE" })?;
            compared(text, report)
        }
        State::Added { .. } => writeln!(text, "{path}: new"),
        State::Removed { mend, .. } => writeln!(text, "{path}: REMOVED\n    mend    {mend}"),
        State::Unusable { error } => writeln!(text, "{path}: UNUSABLE\n    {}", line(error)),
    }
}

fn compared(text: &mut String, report: &Report) -> std::fmt::Result {
    for change in report.breaks() {
        let Change { path, rule, effect, way, before, after, why, mend } = change;
        let effect = if *effect == Effect::Unproven { "cannot be proven" } else { "breaks" };
        let way = match way {
            Some(Way::Backward) => "the new version reading the old",
            Some(Way::Forward) => "the old version reading the new",
            None => "",
        };
        writeln!(text, "  {}  {effect}: {way}", line(path))?;
        writeln!(text, "    rule    {rule}")?;
        writeln!(text, "    before  {}", line(before.as_deref().unwrap_or("-")))?;
        writeln!(text, "    after   {}", line(after.as_deref().unwrap_or("-")))?;
        writeln!(text, "    why     {}", line(why))?;
        writeln!(text, "    mend    {}", line(mend))?;
    }
    for witness in &report.witnesses {
        writeln!(text, "  a message that shows it: {}", witness.message)?;
        writeln!(text, "    {}", witness.why)?;
    }
    for change in report.changes.iter().filter(|change| change.effect == Effect::Compatible) {
        let (before, after) = (change.before.as_deref().unwrap_or("-"), change.after.as_deref().unwrap_or("-"));
        writeln!(text, "  {}  fine: {} ({} -> {})", line(&change.path), change.rule, line(before), line(after))?;
    }
    Ok(())
}
