//! If the engine says compatible, no message that is valid under the writer's schema is invalid under the reader's: random pairs,
//! with a validator that others wrote as the judge.

// What cannot be built fails the test.
#![allow(clippy::unwrap_used)]

mod schema_generator;

use entente_core::contract::json_schema::examples;
use entente_core::contract::{Comparison, Direction, Format, Policy, Report, Way, check};
use jsonschema::Validator;
use schema_generator::{Dice, changed, closed, opened, schema, value};
use serde_json::Value;

const PAIRS: usize = 10_000;

fn compare(old: &Value, new: &Value, policy: Policy) -> Option<Report> {
    let how = Comparison { format: Format::JsonSchema, direction: Direction::Full, policy, json_encoding: false };
    // A schema that refers to itself without end is refused.
    check(&old.to_string(), &new.to_string(), how).ok()
}

fn validator(schema: &Value) -> Validator {
    jsonschema::options().should_validate_formats(true).build(schema).unwrap()
}

#[derive(Debug, Default)]
struct Counts {
    pairs: usize,
    compatible: usize,
    incompatible: usize,
    witnesses: usize,
    messages: usize,
}

/// Messages at the writer's edges, and any others.
fn messages(dice: &mut Dice, writer: &Value) -> Vec<Value> {
    let mut messages = examples(&writer.to_string()).unwrap();
    messages.extend((0..20).map(|_| value(dice, 3)));
    messages
}

/// Looks at one way of a pair: the writer's schema as written, and both as the policy takes them.
fn judge(dice: &mut Dice, counts: &mut Counts, report: &Report, way: Way, [written, writer, reader]: [&Value; 3]) {
    let witness = report.witnesses.iter().find(|witness| witness.way == way);
    if !report.compatible_in(way) {
        counts.incompatible += 1;
        let Some(witness) = witness else { return };
        counts.witnesses += 1;
        assert!(validator(written).is_valid(&witness.message), "{witness:?} is not valid under {written}");
        assert!(!validator(reader).is_valid(&witness.message), "{witness:?} is valid under {reader}");
        return;
    }
    counts.compatible += 1;
    assert!(witness.is_none());
    let (writer_validator, reader_validator) = (validator(writer), validator(reader));
    for message in messages(dice, writer) {
        if writer_validator.is_valid(&message) {
            counts.messages += 1;
            assert!(reader_validator.is_valid(&message), "{way:?}: {message} of\n{writer}\nis refused by\n{reader}");
        }
    }
}

#[test]
fn strict_verdicts_hold() {
    let mut dice = Dice(0x5eed_0001);
    let mut counts = Counts::default();
    while counts.pairs < PAIRS {
        let old = schema(&mut dice, false);
        let new = if dice.roll(5) == 0 { schema(&mut dice, false) } else { changed(&mut dice, &old, false) };
        let Some(report) = compare(&old, &new, Policy::Strict).filter(|_| old != new) else { continue };
        counts.pairs += 1;
        judge(&mut dice, &mut counts, &report, Way::Backward, [&old, &old, &new]);
        judge(&mut dice, &mut counts, &report, Way::Forward, [&new, &new, &old]);
    }
    println!("strict: {counts:?}");
    assert!(counts.compatible > PAIRS / 4 && counts.incompatible > PAIRS / 4 && counts.messages > PAIRS * 3, "{counts:?}");
}

#[test]
fn lenient_verdicts_hold() {
    let mut dice = Dice(0x5eed_0002);
    let mut counts = Counts::default();
    while counts.pairs < PAIRS / 2 {
        let old = schema(&mut dice, true);
        let new = changed(&mut dice, &old, true);
        let Some(report) = compare(&old, &new, Policy::Lenient).filter(|_| old != new) else { continue };
        counts.pairs += 1;
        judge(&mut dice, &mut counts, &report, Way::Backward, [&old, &closed(&old), &opened(&new)]);
        judge(&mut dice, &mut counts, &report, Way::Forward, [&new, &closed(&new), &opened(&old)]);
    }
    println!("lenient: {counts:?}");
    assert!(counts.compatible > PAIRS / 8 && counts.messages > PAIRS, "{counts:?}");
}

/// A schema is compatible with itself, whatever remark is changed.
#[test]
fn a_remark_breaks_nothing() {
    let mut dice = Dice(0x5eed_0003);
    let (mut pairs, mut unproven) = (0, 0);
    while pairs < PAIRS / 5 {
        let old = schema(&mut dice, false);
        let Value::Object(mut new) = old.clone() else { continue };
        new.insert("description".into(), "changed".into());
        for policy in [Policy::Strict, Policy::Lenient] {
            let Some(report) = compare(&old, &new.clone().into(), policy) else { continue };
            pairs += 1;
            if !report.compatible() {
                unproven += 1;
                println!("{policy:?} {old}: {:?}", report.breaks().next());
            }
        }
    }
    println!("{unproven} of {pairs} not proven");
    assert!(unproven * 50 < pairs, "{unproven} of {pairs} not proven");
}
