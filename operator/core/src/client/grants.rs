//! Whether the owner of an object allows its use to another namespace.

use entente_crds::grant::{Grant, Verb};

use crate::resolve::{Asker, selects};

/// Whether an object of `owner_namespace` with these grants may be used by `asker` for `verb`.
///
/// The own namespace always may. A grant that names neither a namespace nor a selector, or both, says
/// nothing clear: it allows nothing (CEL refuses it, but nobody is let in where CEL was not asked).
pub fn admits(grants: &[Grant], owner_namespace: &str, asker: Asker<'_>, verb: Verb) -> bool {
    asker.namespace == owner_namespace || grants.iter().any(|grant| grant.verbs.contains(&verb) && names(grant, asker))
}

fn names(grant: &Grant, asker: Asker<'_>) -> bool {
    let Grant { namespace, namespace_selector, verbs: _ } = grant;
    match (namespace, namespace_selector) {
        (Some(namespace), None) => namespace == asker.namespace,
        (None, Some(selector)) => asker.labels.is_some_and(|labels| selects(selector, labels)),
        (None, None) | (Some(_), Some(_)) => false,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::{Value, json};

    use super::*;

    fn admitted(grants: Value, asker: &str, labels: Option<&[(&str, &str)]>, verb: Verb) -> bool {
        let grants: Vec<Grant> = serde_json::from_value(grants).unwrap();
        let labels: Option<BTreeMap<String, String>> =
            labels.map(|pairs| pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect());
        admits(&grants, "shop", Asker { namespace: asker, labels: labels.as_ref() }, verb)
    }

    #[test]
    fn the_own_namespace_needs_no_grant() {
        for verb in [Verb::Send, Verb::Receive, Verb::Browse] {
            assert!(admitted(json!([]), "shop", None, verb));
        }
    }

    #[test]
    fn i3_without_a_grant_nobody_else_is_admitted() {
        assert!(!admitted(json!([]), "billing", Some(&[("team", "billing")]), Verb::Send));
    }

    #[test]
    fn i3_a_grant_is_for_its_verbs_alone() {
        let grants = json!([{"namespace": "billing", "verbs": ["Receive"]}]);
        assert!(admitted(grants.clone(), "billing", None, Verb::Receive));
        assert!(!admitted(grants.clone(), "billing", None, Verb::Send));
        assert!(!admitted(grants, "billing", None, Verb::Browse));
    }

    #[test]
    fn i3_a_namespace_is_named_exactly() {
        let grants = json!([{"namespace": "billing", "verbs": ["Send"]}]);
        for near in ["billing2", "billin", "Billing", ""] {
            assert!(!admitted(grants.clone(), near, Some(&[]), Verb::Send), "{near}");
        }
    }

    #[test]
    fn namespaces_are_selected_by_label() {
        let grants = json!([{"namespaceSelector": {"matchLabels": {"team": "billing"}}, "verbs": ["Send"]}]);
        assert!(admitted(grants.clone(), "any", Some(&[("team", "billing")]), Verb::Send));
        assert!(!admitted(grants.clone(), "any", Some(&[("team", "shop")]), Verb::Send));
        // Labels that are not known match nothing, not even a selector for everything.
        assert!(!admitted(grants, "any", None, Verb::Send));
        assert!(!admitted(json!([{"namespaceSelector": {}, "verbs": ["Send"]}]), "any", None, Verb::Send));
        assert!(admitted(json!([{"namespaceSelector": {}, "verbs": ["Send"]}]), "any", Some(&[]), Verb::Send));
    }

    #[test]
    fn grants_add_up() {
        let grants = json!([{"namespace": "a", "verbs": ["Send"]}, {"namespace": "a", "verbs": ["Receive"]}, {"namespace": "b", "verbs": ["Send"]}]);
        assert!(admitted(grants.clone(), "a", None, Verb::Send));
        assert!(admitted(grants.clone(), "a", None, Verb::Receive));
        assert!(!admitted(grants, "b", None, Verb::Receive));
    }

    #[test]
    fn i3_a_grant_that_is_not_clear_allows_nothing() {
        for grant in [json!({"verbs": ["Send"]}), json!({"namespace": "billing", "namespaceSelector": {}, "verbs": ["Send"]})] {
            assert!(!admitted(json!([grant]), "billing", Some(&[]), Verb::Send));
        }
    }
}
