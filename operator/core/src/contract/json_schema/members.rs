//! What a schema demands of an object's properties.

use serde_json::Value;

use super::case::{Case, Facts};
use super::finding::Finding;
use super::node::{Id, Types};
use super::own::{counts, join};
use super::prove::Prover;
use crate::contract::text::step;

impl Prover<'_> {
    pub(super) fn members(&mut self, case: &Case, facts: &Facts, reader: Id, path: &str, findings: &mut Vec<Finding>) {
        self.presence(case, facts, reader, path, findings);
        self.named_members(case, reader, path, findings);
        self.pattern_members(case, reader, path, findings);
        self.additional_members(case, reader, path, findings);
        self.member_names(case, reader, path, findings);
        self.dependent_schemas(case, reader, path, findings);
    }

    /// Which properties there must be, and how many.
    fn presence(&mut self, case: &Case, facts: &Facts, reader: Id, path: &str, findings: &mut Vec<Finding>) {
        let node = &self.nodes[reader];
        let named = case.named(self.nodes);
        for name in node.required.difference(&facts.required) {
            let writer = if named.contains(name) { "optional" } else { "not there" };
            let why = format!("the reader needs {name:?}, and the writer may leave it out");
            let path = format!("{path}/properties/{}", step(name));
            findings.push(Finding::new(path, "required", why).writer(Some(writer)).reader(Some("required")));
        }
        let least = facts.min_properties.max(facts.required.len() as u64);
        let closed = self.closed(case).then_some(named.len() as u64);
        let most = facts.max_properties.into_iter().chain(closed).min();
        counts(path, "minProperties", (least, node.min_properties), "maxProperties", (most, node.max_properties), findings);
        for (name, needed) in &node.dependent_required {
            if case.member(self.nodes, name).is_none_or(|member| self.is_empty(&member, 1)) {
                continue;
            }
            let own = |other: &String| {
                facts.required.contains(other)
                    || case.nodes(self.nodes).any(|node| node.dependent_required.get(name).is_some_and(|own| own.contains(other)))
            };
            for other in needed.iter().filter(|other| !own(other)) {
                let why = format!("the reader needs {other:?} beside {name:?}, and the writer may leave it out");
                let path = format!("{path}/properties/{}", step(other));
                findings.push(Finding::new(path, "dependentRequired", why).reader(Some(format!("required beside {name}"))));
            }
        }
    }

    /// Whether an object of a case has no properties but those that it names.
    fn closed(&self, case: &Case) -> bool {
        case.other_members(self.nodes).is_none() && case.nodes(self.nodes).all(|node| node.patterns.is_empty())
    }

    fn named_members(&mut self, case: &Case, reader: Id, path: &str, findings: &mut Vec<Finding>) {
        let named = case.named(self.nodes);
        for (name, schema) in &self.nodes[reader].properties {
            if self.spent() {
                return;
            }
            let Some(member) = case.member(self.nodes, name) else { continue };
            let path = format!("{path}/properties/{}", step(name));
            let found = self.part_within(&member, *schema, &path);
            if found.is_empty() || named.contains(name) || !member.all.is_empty() {
                findings.extend(found);
            } else {
                let why = format!(
                    "the writer does not name {name:?} and is open: it may send anything there, which the reader does not take"
                );
                findings.push(Finding::new(path, "property-typed", why).reader(self.nodes[*schema].text.as_ref()));
            }
        }
    }

    fn pattern_members(&mut self, case: &Case, reader: Id, path: &str, findings: &mut Vec<Finding>) {
        for (pattern, schema) in &self.nodes[reader].patterns {
            let path = format!("{path}/patternProperties/{}", step(&pattern.text));
            let own = self.own_patterns(case);
            let alike: Vec<Id> = own.iter().filter(|(text, _)| *text == pattern.text).map(|(_, id)| *id).collect();
            if !alike.is_empty() {
                // Whatever else the writer says of such a name, it says this as well.
                findings.extend(self.part_within(&Case::of(self.nodes, alike), *schema, &path));
                continue;
            }
            for name in case.named(self.nodes) {
                if pattern.matches(&name) != Some(false)
                    && let Some(member) = case.member(self.nodes, &name)
                {
                    findings.extend(self.part_within(&member, *schema, &path));
                }
            }
            for (_, id) in &own {
                findings.extend(self.part_within(&Case::of(self.nodes, [*id]), *schema, &path));
            }
            if let Some(others) = case.other_members(self.nodes) {
                findings.extend(self.part_within(&others, *schema, &path));
            }
        }
    }

    fn own_patterns(&self, case: &Case) -> Vec<(String, Id)> {
        case.nodes(self.nodes).flat_map(|node| &node.patterns).map(|(pattern, id)| (pattern.text.clone(), *id)).collect()
    }

    fn additional_members(&mut self, case: &Case, reader: Id, path: &str, findings: &mut Vec<Finding>) {
        let node = &self.nodes[reader];
        let Some(additional) = node.additional else { return };
        let refused = self.nodes[additional].never;
        for name in case.named(self.nodes) {
            let covered = node.properties.contains_key(&name)
                || node.patterns.iter().any(|(pattern, _)| pattern.matches(&name) == Some(true));
            if covered || self.spent() {
                continue;
            }
            let Some(member) = case.member(self.nodes, &name) else { continue };
            let path = format!("{path}/properties/{}", step(&name));
            let found = self.part_within(&member, additional, &path);
            if refused && !found.is_empty() {
                let why = format!("the reader is closed to {name:?}, which the writer may send");
                findings.push(Finding::new(path, "property-refused", why).writer(Some(self.show(&member))));
            } else {
                findings.extend(found);
            }
        }
        for (text, id) in self.own_patterns(case) {
            if node.patterns.iter().any(|(pattern, _)| pattern.text == text) {
                continue;
            }
            let path = format!("{path}/patternProperties/{}", step(&text));
            let found = self.part_within(&Case::of(self.nodes, [id]), additional, &path);
            if refused && !found.is_empty() {
                let why = format!("the reader is closed to properties whose names fit {text:?}, which the writer may send");
                findings.push(Finding::new(path, "property-refused", why).writer(self.nodes[id].text.as_ref()));
            } else {
                findings.extend(found);
            }
        }
        let path = join(path, "additionalProperties");
        let Some(others) = case.other_members(self.nodes) else { return };
        let found = self.part_within(&others, additional, &path);
        if refused && !found.is_empty() {
            let why = "the writer is open: it may send properties that it does not name, and the reader refuses them";
            findings.push(Finding::new(path, "object-closed", why).writer(Some("open")).reader(Some("closed")));
        } else {
            findings.extend(found);
        }
    }

    fn member_names(&mut self, case: &Case, reader: Id, path: &str, findings: &mut Vec<Finding>) {
        let Some(names) = self.nodes[reader].names else { return };
        let path = join(path, "propertyNames");
        let mut own = Case::of(self.nodes, case.nodes(self.nodes).filter_map(|node| node.names));
        own.types = own.types.and(Types::STRING);
        let found = self.part_within(&own, names, &path);
        if found.is_empty() {
            return;
        }
        if self.closed(case) {
            let nodes = self.nodes;
            let mut refused =
                |name: String| case.member(nodes, &name).is_some() && self.valid(names, &Value::String(name)) != Some(true);
            if !case.named(nodes).into_iter().any(&mut refused) {
                return;
            }
        }
        let why = "the writer may use names of properties that the reader does not take";
        findings.push(Finding::unproven(path, "propertyNames", why).reader(self.nodes[names].text.as_ref()));
    }

    fn dependent_schemas(&mut self, case: &Case, reader: Id, path: &str, findings: &mut Vec<Finding>) {
        for (name, schema) in &self.nodes[reader].dependent_schemas {
            if case.member(self.nodes, name).is_none() {
                continue;
            }
            let own = case.nodes(self.nodes).filter_map(|node| node.dependent_schemas.get(name).copied());
            let case = own.collect::<Vec<_>>().into_iter().fold(case.clone(), |case, id| case.with(self.nodes, id));
            if !self.within(&case, *schema, path).is_empty() {
                let path = format!("{path}/dependentSchemas/{}", step(name));
                let why = format!("what the reader demands beside {name:?} the writer is not seen to keep");
                findings.push(Finding::unproven(path, "dependent-schemas", why).reader(self.nodes[*schema].text.as_ref()));
            }
        }
    }
}
