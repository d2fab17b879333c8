//! The rules for enums.

use super::compare::{BOTH, Files, Place};
use super::file::{Enum, Syntax};
use crate::contract::Way;

pub fn compare(files: &mut Files<'_>) {
    let (old, new) = (files.old, files.new);
    for (name, before) in &old.enums {
        let place = Place { name, field: "" };
        if let Some(after) = new.enums.get(name) {
            values(files, name, before, after);
        } else {
            let why = "fields of the old version have values of it";
            files.breaks(place, "enum-removed", &BOTH, [Some("enum".into()), None], why, "keep the enum");
        }
    }
}

fn values(files: &mut Files<'_>, name: &str, old: &Enum, new: &Enum) {
    for (value, number) in &old.values {
        let place = Place { name, field: value };
        let ends = [Some(format!("{value} = {number}")), None];
        if !new.values.iter().any(|(_, other)| other == number) {
            removed(files, place, new, (value, *number), ends);
        } else if !new.values.iter().any(|(other, same)| same == number && other == value) && files.names_count() {
            let mend = "keep the name; allow_alias gives a number two";
            files.breaks(place, "enum-renamed", &BOTH, ends, "in JSON the name of a value is what is sent", mend);
        }
    }
    for (way, writer, reader) in [(Way::Backward, old, new), (Way::Forward, new, old)] {
        unknown(files, name, way, writer, reader);
    }
    let first = |found: &Enum| found.values.first().map(|(_, number)| *number);
    if first(old) != first(new) {
        let ends = [first(old), first(new)].map(|number| number.map(|number| number.to_string()));
        let why = "the first value is what a missing field means";
        files.breaks(Place { name, field: "" }, "enum-default", &BOTH, ends, why, "keep the first value");
    }
}

fn removed(files: &mut Files<'_>, place: Place<'_>, new: &Enum, (value, number): (&str, i64), ends: [Option<String>; 2]) {
    let named = new.reserved.names.contains(value) || !(files.names_count() || files.strict());
    if new.reserved.has_number(number) && named {
        let [before, after] = ends;
        files.fine(place, "enum-value-removed", before, after);
        return;
    }
    let mend = format!("write `reserved {number}; reserved \"{value}\";` in its place, or keep the value");
    files.breaks(place, "enum-value-removed", &BOTH, ends, "its number or name is free for another meaning", &mend);
}

/// Values that the writer may send and the reader does not know: proto3 keeps the number, proto2 takes it for missing, JSON refuses it.
fn unknown(files: &mut Files<'_>, name: &str, way: Way, writer: &Enum, reader: &Enum) {
    let missing: Vec<&str> = writer
        .values
        .iter()
        .filter(|(_, number)| !reader.values.iter().any(|(_, other)| other == number))
        .map(|(value, _)| value.as_str())
        .collect();
    if missing.is_empty() {
        return;
    }
    let (_, file) = way.writer_reader(files.old, files.new);
    let closed = file.syntax == Syntax::Proto2;
    let ends = || {
        let (before, after) = way.before_after(Some(missing.join(", ")), None);
        [before, after]
    };
    let place = Place { name, field: missing[0] };
    let mend = "add the value to the reader first, and send it when all readers have it";
    if files.names_count() {
        files.breaks(place, "enum-value", &[way], ends(), "in JSON a reader refuses a name that it does not know", mend);
    } else if closed {
        files.breaks(place, "enum-value", &[way], ends(), "a reader of proto2 takes an unknown value for a missing field", mend);
    } else if files.strict() {
        files.unproven(place, "enum-value", &[way], ends(), "a reader of proto3 gets a number that it has no name for", mend);
    } else if way == Way::Forward {
        files.fine(place, "enum-value-added", None, Some(missing.join(", ")));
    }
}
