//! What a contract's `lifecycle.brownouts` ask for.

use entente_crds::service_contract::{Brownout, Lifecycle};
use jiff::SignedDuration;

use super::super::terms::length;

/// A rehearsal is short.
const LONGEST: SignedDuration = SignedDuration::from_hours(24);
/// Dates are whole seconds.
const SHORTEST: SignedDuration = SignedDuration::from_secs(1);
const MOST: usize = 8;

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// How long before the sunset it begins.
    pub before: SignedDuration,
    /// How long it lasts.
    pub lasts: SignedDuration,
    /// How long before it begins it must have been announced.
    pub announced: SignedDuration,
}

/// All of them.
///
/// # Errors
/// What the contract asks for and cannot have, with the field.
pub fn rules(lifecycle: &Lifecycle) -> Result<Vec<Rule>, String> {
    let Lifecycle { max_supported_versions: _, minimum_deprecation_notice, quiet_period: _, brownouts } = lifecycle;
    let refuse = |problem: String| Err(format!("lifecycle.brownouts: {problem}"));
    if brownouts.len() > MOST {
        return refuse(format!("at most {MOST}"));
    }
    let mut rules = Vec::new();
    for Brownout { before_sunset, lasts, announced_before } in brownouts {
        let field = |name: &str, text| length(&format!("lifecycle.brownouts: {name}"), text);
        let before = field("beforeSunset", before_sunset)?;
        let rule = Rule { before, lasts: field("lasts", lasts)?, announced: field("announcedBefore", announced_before)? };
        let (begins, long) = (&before_sunset.0, &lasts.0);
        if rule.lasts > before || rule.lasts < SHORTEST {
            return refuse(format!(
                "one that begins {begins} before sunset cannot last {long}: it must end before sunset, and last a second at least"
            ));
        }
        if rule.lasts > LONGEST {
            return refuse(format!("one cannot last {long}: a rehearsal is short, at most 1d"));
        }
        if rule.announced < SHORTEST {
            return refuse("announcedBefore is a second at least".to_owned());
        }
        let notice = length("lifecycle.minimumDeprecationNotice", minimum_deprecation_notice)?;
        if before.saturating_add(rule.announced) > notice {
            return refuse(format!(
                "one that begins {begins} before sunset cannot be announced {} before with a notice of {}: begin it later, or announce it later",
                announced_before.0, minimum_deprecation_notice.0
            ));
        }
        rules.push(rule);
    }
    rules.sort_by_key(|rule| std::cmp::Reverse(rule.before));
    let overlap = rules.windows(2).any(|pair| matches!(pair, [one, next] if one.before.saturating_sub(one.lasts) < next.before));
    if overlap { refuse("one begins before another has ended".to_owned()) } else { Ok(rules) }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[allow(clippy::needless_pass_by_value)] // a json! literal goes in
    fn asked(brownouts: Value) -> Result<usize, String> {
        let lifecycle = json!({"minimumDeprecationNotice": "10d", "brownouts": brownouts});
        rules(&serde_json::from_value(lifecycle).unwrap()).map(|rules| rules.len())
    }

    #[test]
    fn what_can_be_held_is_taken() {
        assert_eq!(asked(json!([])), Ok(0));
        let brownouts = json!([
            {"beforeSunset": "1h", "lasts": "1h", "announcedBefore": "1h"},
            {"beforeSunset": "9d", "lasts": "1d"},
        ]);
        assert_eq!(asked(brownouts), Ok(2));
    }

    #[test]
    fn what_cannot_be_is_refused_with_the_field_and_the_mend() {
        for (brownouts, words) in [
            (json!([{"beforeSunset": "1h", "lasts": "2h"}]), "must end before sunset"),
            (json!([{"beforeSunset": "1h", "lasts": "0s"}]), "last a second"),
            (json!([{"beforeSunset": "3d", "lasts": "25h"}]), "at most 1d"),
            (json!([{"beforeSunset": "3d", "lasts": "1h", "announcedBefore": "0s"}]), "announcedBefore"),
            (json!([{"beforeSunset": "9d", "lasts": "1h", "announcedBefore": "25h"}]), "begin it later"),
            (json!([{"beforeSunset": "soon", "lasts": "1h"}]), "beforeSunset"),
            (json!([{"beforeSunset": "3h", "lasts": "2h"}, {"beforeSunset": "2h", "lasts": "1h"}]), "before another"),
            (json!([{"beforeSunset": "3h", "lasts": "1h"}, {"beforeSunset": "3h", "lasts": "1h"}]), "before another"),
            (json!(vec![json!({"beforeSunset": "3h", "lasts": "1h"}); 9]), "at most 8"),
        ] {
            let problem = asked(brownouts.clone()).unwrap_err();
            assert!(problem.starts_with("lifecycle.brownouts: ") && problem.contains(words), "{brownouts}: {problem}");
        }
    }
}
