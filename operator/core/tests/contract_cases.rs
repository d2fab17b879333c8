//! The tables of pairs: what each engine says of two versions, in both ways and under both policies.

// What cannot be built fails the test.
#![allow(clippy::unwrap_used)]

mod contract_table;

use contract_table::{Case, cases};
use entente_core::contract::{Direction, Format, Policy, Report, Way};

fn run(format: Format, least: usize) {
    let table = cases(format).unwrap();
    assert!(table.len() >= least, "{} cases", table.len());
    let mut wrong = Vec::new();
    for case in &table {
        for policy in [Policy::Strict, Policy::Lenient] {
            match case.check(format, policy) {
                Ok(report) => wrong.extend(judge(case, policy, &report)),
                Err(error) => wrong.push(format!("{}: {error}", case.name)),
            }
        }
        // Protobuf asks for more than both sides reading each other: what is removed must be reserved.
        if format != Format::Protobuf {
            wrong.extend(mirrored(case, format));
        }
    }
    assert!(wrong.is_empty(), "{} of {} are wrong:\n{}", wrong.len(), table.len(), wrong.join("\n"));
}

fn judge(case: &Case, policy: Policy, report: &Report) -> Option<String> {
    let expected = if policy == Policy::Strict { case.strict } else { case.lenient };
    let found = [Way::Backward, Way::Forward].map(|way| report.compatible_in(way));
    if found != expected.ways() {
        let shown: Vec<String> = report.breaks().map(|change| format!("    {change:?}")).collect();
        return Some(format!("{} ({policy:?}): {found:?}, not {expected:?}\n{}", case.name, shown.join("\n")));
    }
    for change in report.breaks() {
        if change.mend.is_empty() || change.why.is_empty() || change.path.is_empty() || change.way.is_none() {
            return Some(format!("{}: a break without path, reason or mend: {change:?}", case.name));
        }
    }
    let named = case.rule.as_ref().is_none_or(|rule| report.breaks().any(|change| change.rule == rule));
    (!named && !report.compatible())
        .then(|| format!("{} ({policy:?}): no break by rule {:?}: {:?}", case.name, case.rule, report.changes))
}

/// What is compatible backward is compatible forward if the two change places.
fn mirrored(case: &Case, format: Format) -> Option<String> {
    for policy in [Policy::Strict, Policy::Lenient] {
        let turned = case.turned().check(format, policy).ok()?;
        let report = case.check(format, policy).ok()?;
        if (report.compatible_in(Way::Backward), report.compatible_in(Way::Forward))
            != (turned.compatible_in(Way::Forward), turned.compatible_in(Way::Backward))
        {
            return Some(format!("{}: turned round it is something else: {turned:?}", case.name));
        }
    }
    None
}

#[test]
fn json_schema() {
    run(Format::JsonSchema, 120);
}

/// A schema is compatible with itself, whatever is in it.
#[test]
fn json_schema_with_itself() {
    itself(Format::JsonSchema);
}

#[test]
fn avro() {
    run(Format::Avro, 60);
}

#[test]
fn avro_with_itself() {
    itself(Format::Avro);
}

#[test]
fn protobuf() {
    run(Format::Protobuf, 60);
}

#[test]
fn protobuf_with_itself() {
    itself(Format::Protobuf);
}

fn itself(format: Format) {
    for case in cases(format).unwrap() {
        for text in [&case.old, &case.new] {
            for policy in [Policy::Strict, Policy::Lenient] {
                let same = Case { old: text.clone(), new: text.clone(), ..case.clone() };
                let report = same.check(format, policy).unwrap();
                assert!(report.changes.is_empty(), "{}: {report:?}", case.name);
            }
        }
    }
}

/// A message that is said to show a break is put before a validator that others wrote.
#[test]
fn witnesses_of_json_schema_are_true() {
    let (mut witnesses, mut breaks) = (0, 0);
    for case in cases(Format::JsonSchema).unwrap() {
        let report = case.check(Format::JsonSchema, Policy::Strict).unwrap();
        let [old, new] = [&case.old, &case.new].map(|text| contract_table::validator(text));
        breaks += [Way::Backward, Way::Forward].iter().filter(|way| !report.compatible_in(**way)).count();
        for witness in &report.witnesses {
            witnesses += 1;
            let (writer, reader) = if witness.way == Way::Backward { (&old, &new) } else { (&new, &old) };
            assert!(writer.is_valid(&witness.message), "{}: {witness:?} was not sent", case.name);
            assert!(!reader.is_valid(&witness.message), "{}: {witness:?} is read", case.name);
        }
    }
    println!("{witnesses} witnesses for {breaks} breaks");
    assert!(witnesses * 10 >= breaks * 7, "{witnesses} witnesses for {breaks} breaks");
}

/// What the engine calls compatible is put before that validator, by messages at the writer's edges.
#[test]
fn json_schema_called_compatible_is_read() {
    let mut messages = 0;
    for case in cases(Format::JsonSchema).unwrap() {
        let report = case.check(Format::JsonSchema, Policy::Strict).unwrap();
        for (way, writer, reader) in [(Way::Backward, &case.old, &case.new), (Way::Forward, &case.new, &case.old)] {
            if report.compatible_in(way) {
                let reader = contract_table::validator(reader);
                for message in entente_core::contract::json_schema::examples(writer).unwrap() {
                    messages += 1;
                    assert!(reader.is_valid(&message), "{} ({way:?}): {message}", case.name);
                }
            }
        }
    }
    assert!(messages > 1_000, "{messages} messages");
}

#[test]
fn direction_chooses_the_ways() {
    let case = &cases(Format::JsonSchema).unwrap()[3];
    for direction in [Direction::Backward, Direction::Forward] {
        let report = case.check_in(Format::JsonSchema, Policy::Strict, direction).unwrap();
        assert!(report.breaks().all(|change| direction.ways() == [change.way.unwrap()]), "{report:?}");
    }
}
