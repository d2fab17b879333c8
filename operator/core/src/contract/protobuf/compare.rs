//! The rules for messages and fields, one function a rule.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::enums;
use super::file::{Field, File, Label, Message, Syntax, Type};
use super::scalars::{self, Reading};
use crate::contract::{Change, Comparison, Effect, Policy, Way, Witness};

/// Both files, and what was found so far.
pub struct Files<'a> {
    pub old: &'a File,
    pub new: &'a File,
    pub how: Comparison,
    pub changes: Vec<Change>,
    pub witnesses: Vec<Witness>,
}

/// A message in both versions, or an enum.
#[derive(Clone, Copy)]
pub struct Place<'a> {
    pub name: &'a str,
    pub field: &'a str,
}

impl Place<'_> {
    fn path(self) -> String {
        if self.field.is_empty() { format!("/{}", self.name) } else { format!("/{}/{}", self.name, self.field) }
    }
}

impl Files<'_> {
    pub fn compare(&mut self) {
        self.package();
        self.syntax();
        let (old, new) = (self.old, self.new);
        for (name, message) in &old.messages {
            match new.messages.get(name) {
                Some(other) => self.message(name, message, other),
                None => self.message_removed(name),
            }
        }
        for name in new.messages.keys().filter(|name| !old.messages.contains_key(*name)) {
            self.fine(Place { name, field: "" }, "message-added", None, Some("message".into()));
        }
        enums::compare(self);
    }

    /// Whether names count: in JSON they are sent.
    pub fn names_count(&self) -> bool {
        self.how.json_encoding
    }

    pub fn strict(&self) -> bool {
        self.how.policy == Policy::Strict
    }

    /// A break in the ways given, as far as they are looked at.
    pub fn breaks(
        &mut self,
        place: Place<'_>,
        rule: &'static str,
        ways: &[Way],
        ends: [Option<String>; 2],
        why: &str,
        mend: &str,
    ) {
        self.found(place, rule, (ways, Effect::Breaking), ends, why, mend);
    }

    pub fn unproven(
        &mut self,
        place: Place<'_>,
        rule: &'static str,
        ways: &[Way],
        ends: [Option<String>; 2],
        why: &str,
        mend: &str,
    ) {
        self.found(place, rule, (ways, Effect::Unproven), ends, why, mend);
    }

    fn found(
        &mut self,
        place: Place<'_>,
        rule: &'static str,
        (ways, effect): (&[Way], Effect),
        ends: [Option<String>; 2],
        why: &str,
        mend: &str,
    ) {
        let [before, after] = ends;
        for way in ways.iter().filter(|way| self.how.direction.ways().contains(way)) {
            let (before, after, why, mend) = (before.clone(), after.clone(), why.to_owned(), mend.to_owned());
            self.changes.push(Change { path: place.path(), rule, effect, way: Some(*way), before, after, why, mend });
        }
    }

    pub fn fine(&mut self, place: Place<'_>, rule: &'static str, before: Option<String>, after: Option<String>) {
        let why = "what was sent is read".to_owned();
        self.changes.push(Change {
            path: place.path(),
            rule,
            effect: Effect::Compatible,
            way: None,
            before,
            after,
            why,
            mend: String::new(),
        });
    }

    fn witness(&mut self, way: Way, place: Place<'_>, message: Value) {
        if self.how.direction.ways().contains(&way) && !self.witnesses.iter().any(|witness| witness.way == way) {
            let (sent, read) = way.writer_reader("old", "new");
            let why = format!("a {} as sent with the {sent} version, refused or misread with the {read} one", place.name);
            self.witnesses.push(Witness { way, message, why });
        }
    }

    fn package(&mut self) {
        if self.old.package != self.new.package {
            let ends = [Some(self.old.package.clone()), Some(self.new.package.clone())];
            let place = Place { name: "package", field: "" };
            self.breaks(
                place,
                "package",
                &BOTH,
                ends,
                "the full name of every message changed",
                "keep the package; a new one is a new contract",
            );
        }
    }

    fn syntax(&mut self) {
        if self.old.syntax != self.new.syntax {
            let show = |syntax| Some(if syntax == Syntax::Proto2 { "proto2".to_owned() } else { "proto3".to_owned() });
            let ends = [show(self.old.syntax), show(self.new.syntax)];
            let why = "presence, defaults, enums and texts have other rules in the other syntax";
            self.unproven(Place { name: "syntax", field: "" }, "syntax", &BOTH, ends, why, "keep the syntax");
        }
    }

    fn message_removed(&mut self, name: &str) {
        let why = "messages of the old version are not understood any more";
        let mend = "keep the message; deprecate it, and retire the version when nobody sends it";
        self.breaks(Place { name, field: "" }, "message-removed", &BOTH, [Some("message".into()), None], why, mend);
    }

    fn message(&mut self, name: &str, old: &Message, new: &Message) {
        for (number, field) in &old.fields {
            match new.fields.get(number) {
                Some(other) => self.field(name, field, other),
                None => self.field_removed(name, field, new),
            }
        }
        for field in new.fields.values().filter(|field| !old.fields.contains_key(&field.number)) {
            self.field_added(name, field, old);
        }
        self.oneofs(name, old, new);
    }

    fn field_removed(&mut self, name: &str, field: &Field, new: &Message) {
        let place = Place { name, field: &field.name };
        let ends = || [Some(field.show()), None];
        let number = new.reserved.has_number(field.number);
        let named = new.reserved.names.contains(&field.name) || !(self.names_count() || self.strict());
        if number && named && field.label != Label::Required {
            self.fine(place, "field-removed", Some(field.show()), None);
            return;
        }
        if field.label == Label::Required {
            self.breaks(place, "required", &BOTH, ends(), "the old version refuses messages without it", "keep the field");
        }
        if !number || !named {
            let mend = format!("write `reserved {}; reserved \"{}\";` in its place, or keep the field", field.number, field.name);
            self.breaks(
                place,
                "field-removed",
                &BOTH,
                ends(),
                "its number or name is free for another meaning, which old messages do not have",
                &mend,
            );
        }
    }

    fn field_added(&mut self, name: &str, field: &Field, old: &Message) {
        let place = Place { name, field: &field.name };
        let ends = || [None, Some(field.show())];
        let number = old.reserved.has_number(field.number);
        let named = old.reserved.names.contains(&field.name) && (self.names_count() || self.strict());
        if number || named {
            let why = "the old version reserved its number or its name, as it had another meaning before";
            self.breaks(place, "reserved-reused", &BOTH, ends(), why, "take a number and a name that were never used");
        }
        if field.label == Label::Required {
            self.breaks(
                place,
                "required",
                &[Way::Backward],
                ends(),
                "old messages do not have it",
                "make it optional: required is for ever",
            );
            self.witness(Way::Backward, place, json!({}));
        } else if !number && !named {
            self.fine(place, "field-added", None, Some(field.show()));
        }
    }

    fn field(&mut self, name: &str, old: &Field, new: &Field) {
        if old == new {
            return;
        }
        let place = Place { name, field: &new.name };
        let before = self.changes.len();
        self.renamed(place, old, new);
        self.required(place, old, new);
        self.cardinality(place, old, new);
        self.field_type(place, old, new);
        self.default(place, old, new);
        if self.changes.len() == before {
            self.fine(place, "field", Some(old.show()), Some(new.show()));
        }
    }

    fn renamed(&mut self, place: Place<'_>, old: &Field, new: &Field) {
        if old.json() != new.json() && self.names_count() {
            let mend = format!("keep the name in JSON: [json_name = \"{}\"]", old.json());
            self.breaks(
                place,
                "field-renamed",
                &BOTH,
                [Some(old.json()), Some(new.json())],
                "in JSON the name is what is sent",
                &mend,
            );
        }
    }

    fn required(&mut self, place: Place<'_>, old: &Field, new: &Field) {
        let ends = || [Some(old.show()), Some(new.show())];
        match (old.label == Label::Required, new.label == Label::Required) {
            (false, true) => {
                self.breaks(place, "required", &[Way::Backward], ends(), "old messages may lack it", "leave it optional");
                self.witness(Way::Backward, place, json!({}));
            }
            (true, false) => {
                self.breaks(
                    place,
                    "required",
                    &[Way::Forward],
                    ends(),
                    "the old version refuses messages without it",
                    "leave it required",
                );
                self.witness(Way::Forward, place, json!({}));
            }
            _ => {}
        }
    }

    /// Of several values a reader of one keeps the last.
    fn cardinality(&mut self, place: Place<'_>, old: &Field, new: &Field) {
        let many = |field: &Field| field.label == Label::Repeated || matches!(field.ty, Type::Map(..));
        if many(old) == many(new) {
            return;
        }
        let loses = if many(old) { Way::Backward } else { Way::Forward };
        let ways: &[Way] = if self.names_count() { &BOTH } else { &[loses] };
        let why = "of several values the reader of one keeps the last; in JSON a list is no single value";
        self.breaks(
            place,
            "cardinality",
            ways,
            [Some(old.show()), Some(new.show())],
            why,
            "add a repeated field of another number",
        );
        let field = if many(old) { old } else { new };
        self.witness(loses, place, json!({ field.json(): [scalars::sample(&field.ty), scalars::sample(&field.ty)] }));
    }

    fn field_type(&mut self, place: Place<'_>, old: &Field, new: &Field) {
        if old.ty == new.ty {
            return;
        }
        for way in [Way::Backward, Way::Forward] {
            let (writer, reader) = way.writer_reader(old, new);
            let reading = scalars::reads(&writer.ty, &reader.ty, &self.kinds(way), self.how);
            let ends = [Some(old.show()), Some(new.show())];
            let (rule, why) = match reading {
                Reading::Well => continue,
                Reading::Shortened => {
                    ("type-narrowed", "the bytes are read, and values that do not fit are cut or change their sign")
                }
                Reading::Never => ("type", "the value is misread or not read"),
                Reading::NotInJson => ("type-json", "in JSON these types are written in different ways"),
            };
            self.breaks(
                place,
                rule,
                &[way],
                ends,
                why,
                "add a field of the new type with another number, and reserve the old one when nobody uses it",
            );
            self.witness(way, place, json!({ writer.json(): scalars::sample(&writer.ty) }));
        }
    }

    /// Which names are enums, on the writer's and on the reader's side.
    fn kinds(&self, way: Way) -> [BTreeSet<&str>; 2] {
        let (writer, reader) = way.writer_reader(self.old, self.new);
        [writer, reader].map(|file| file.enums.keys().map(String::as_str).collect())
    }

    fn default(&mut self, place: Place<'_>, old: &Field, new: &Field) {
        if old.default != new.default && self.strict() {
            let why = "a message without the field means another value to each of them";
            self.breaks(
                place,
                "default-changed",
                &BOTH,
                [old.default.clone(), new.default.clone()],
                why,
                "keep the default, or send the value always",
            );
        }
    }

    /// One field may move into a new oneof. Where two share one, a reader drops all but the last.
    fn oneofs(&mut self, name: &str, old: &Message, new: &Message) {
        let groups = |message: &Message, other: &Message| {
            let mut groups = std::collections::BTreeMap::<String, BTreeSet<i64>>::new();
            for field in message.fields.values().filter(|field| other.fields.contains_key(&field.number)) {
                if let Some(oneof) = &field.oneof {
                    groups.entry(oneof.clone()).or_default().insert(field.number);
                }
            }
            groups
        };
        let (before, after) = (groups(old, new), groups(new, old));
        let broken = |from: &std::collections::BTreeMap<String, BTreeSet<i64>>,
                      to: &std::collections::BTreeMap<String, BTreeSet<i64>>| {
            // A oneof is the same if its fields were in one, too; one that has one field of both versions is new or gone.
            from.iter()
                .filter(|(_, numbers)| numbers.len() > 1 && !to.values().any(|others| numbers.is_subset(others)))
                .map(|(oneof, _)| oneof.clone())
                .collect::<BTreeSet<_>>()
        };
        for oneof in broken(&before, &after).union(&broken(&after, &before)) {
            let ends =
                [before.get(oneof).map(|numbers| format!("{numbers:?}")), after.get(oneof).map(|numbers| format!("{numbers:?}"))];
            let why = "fields moved into or out of a oneof with others: who sends both has one of them dropped";
            self.breaks(
                Place { name, field: oneof },
                "oneof",
                &BOTH,
                ends,
                why,
                "keep the fields where they are; a single field may move into a new oneof",
            );
        }
    }
}

pub const BOTH: [Way; 2] = [Way::Backward, Way::Forward];
