//! Rights as RabbitMQ has them: one regular expression over names for writing, and one for reading.

use std::collections::BTreeSet;

use super::users::Permission;
use crate::topology::names::parts_prefix;

/// The expression that matches no name. (An empty one would do too, and would look like a mistake.)
pub const NOTHING: &str = "^$";
/// RabbitMQ refuses a longer expression (`rabbit_re`, 4.3).
pub const LONGEST: usize = 1024;
const DEAD: &str = ".dead";
const OPEN: &str = "^(";
/// `$` would also match before a line end at the end of a name.
const CLOSE: &str = ")\\z";
/// What stands for the number of a part.
const NUMBER: &str = "[0-9]+";

/// Names that may be used: those and no others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rights {
    /// Exchanges that may be sent to.
    pub write: BTreeSet<String>,
    /// Queues that may be received from.
    pub read: BTreeSet<String>,
    /// Queues with partitions whose parts may be received from, all of them, however many there are. Nothing else can have
    /// a name like a part's, and their names one by one would have no room.
    pub parts: BTreeSet<String>,
}

/// What an expression matches.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Names {
    exact: BTreeSet<String>,
    parts: BTreeSet<String>,
}

impl Rights {
    /// Both together.
    #[must_use]
    pub fn with(mut self, other: &Self) -> Self {
        self.write.extend(other.write.iter().cloned());
        self.read.extend(other.read.iter().cloned());
        self.parts.extend(other.parts.iter().cloned());
        self
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.write.is_empty() && self.read.is_empty() && self.parts.is_empty()
    }

    /// Whether the broker takes the expressions.
    pub fn fit(&self) -> bool {
        pattern(&self.write, &BTreeSet::new()).len() <= LONGEST && pattern(&self.read, &self.parts).len() <= LONGEST
    }

    /// As the broker takes them. Nobody may declare or delete anything: that is Entente's.
    pub fn permission(&self) -> Permission {
        let (write, read) = (pattern(&self.write, &BTreeSet::new()), pattern(&self.read, &self.parts));
        Permission { configure: NOTHING.to_owned(), write, read }
    }

    /// What is left of a permission if nothing beyond these rights is allowed. One of an unknown form allows anything.
    #[must_use]
    pub fn within(&self, permission: &Permission) -> Self {
        let left = |known: Option<BTreeSet<String>>, names: &BTreeSet<String>| match known {
            Some(known) => names.intersection(&known).cloned().collect(),
            None => names.clone(),
        };
        let (write, read) = (parse(&permission.write), parse(&permission.read));
        Self {
            write: left(write.map(|names| names.exact), &self.write),
            parts: left(read.clone().map(|names| names.parts), &self.parts),
            read: left(read.map(|names| names.exact), &self.read),
        }
    }

    /// Whether these rights allow all that a permission does. One of an unknown form allows anything.
    pub fn cover(&self, permission: &Permission) -> bool {
        let nothing = BTreeSet::new();
        let within = |expression: &str, names: &BTreeSet<String>, parts: &BTreeSet<String>| {
            parse(expression).is_some_and(|known| known.exact.is_subset(names) && known.parts.is_subset(parts))
        };
        within(&permission.configure, &nothing, &nothing)
            && within(&permission.write, &self.write, &nothing)
            && within(&permission.read, &self.read, &self.parts)
    }
}

/// An expression that matches exactly these names, and the parts of these Queues. A queue with its dead letters is one
/// alternative, to save room.
fn pattern(names: &BTreeSet<String>, parts: &BTreeSet<String>) -> String {
    if names.is_empty() && parts.is_empty() {
        return NOTHING.to_owned();
    }
    let source = |name: &str| name.strip_suffix(DEAD).is_some_and(|queue| names.contains(queue));
    let alternatives: Vec<String> = names
        .iter()
        .filter(|name| !source(name))
        .map(|name| {
            let mut text = escaped(name);
            // The names of a chain q, q.dead, q.dead.dead, … all follow from the first.
            let mut chain = format!("{name}{DEAD}");
            let mut depth = 0;
            while names.contains(&chain) {
                text.push_str("(\\.dead");
                chain.push_str(DEAD);
                depth += 1;
            }
            text.push_str(&")?".repeat(depth));
            text
        })
        .chain(parts.iter().map(|queue| format!("{}{NUMBER}", escaped(&parts_prefix(queue)))))
        .collect();
    format!("{OPEN}{}{CLOSE}", alternatives.join("|"))
}

/// Each character stands for itself.
fn escaped(name: &str) -> String {
    let mut text = String::with_capacity(name.len());
    for character in name.chars() {
        if is_special(character) {
            text.push('\\');
        }
        text.push(character);
    }
    text
}

fn is_special(character: char) -> bool {
    matches!(character, '\\' | '^' | '$' | '.' | '|' | '?' | '*' | '+' | '(' | ')' | '[' | ']' | '{' | '}')
}

/// The names that an expression of ours matches.
fn parse(expression: &str) -> Option<Names> {
    if expression == NOTHING || expression.is_empty() {
        return Some(Names::default());
    }
    let inner = expression.strip_prefix(OPEN)?.strip_suffix(CLOSE)?;
    // Those of parts come last, and nothing else has the bracket of their numbers unescaped.
    let mut parts = BTreeSet::new();
    let mut rest = inner;
    while let Some(before) = rest.strip_suffix(NUMBER) {
        let (others, part) = before.rsplit_once('|').unwrap_or(("", before));
        parts.insert(queue_of_parts(part)?);
        if others.is_empty() {
            return Some(Names { exact: BTreeSet::new(), parts });
        }
        rest = others;
    }
    Some(Names { exact: parse_exact(rest)?, parts })
}

/// The Queue whose parts' names begin so.
fn queue_of_parts(prefix: &str) -> Option<String> {
    let queue = prefix.strip_prefix("part\\.")?.strip_suffix("\\.")?;
    (!queue.is_empty() && !queue.chars().any(is_special)).then(|| queue.to_owned())
}

fn parse_exact(inner: &str) -> Option<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    let mut characters = inner.chars().peekable();
    let (mut name, mut ended) = (String::new(), false);
    while let Some(character) = characters.next() {
        match character {
            '|' => {
                names.insert(std::mem::take(&mut name));
                ended = false;
            }
            // After the dead letters nothing else can follow.
            '\\' if !ended => name.push(characters.next()?),
            '(' => {
                names.insert(name.clone());
                ended = false;
            }
            ')' if characters.next_if_eq(&'?').is_some() => ended = true,
            plain if !ended && !is_special(plain) => name.push(plain),
            _ => return None,
        }
    }
    names.insert(name);
    Some(names)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use regex::Regex;

    use super::*;

    fn set(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    fn rights(write: &[&str], read: &[&str]) -> Rights {
        Rights { write: set(write), read: set(read), parts: BTreeSet::new() }
    }

    #[test]
    fn nothing_declared_is_nothing_allowed() {
        let Permission { configure, write, read } = Rights::default().permission();
        assert_eq!([configure, write, read], [NOTHING, NOTHING, NOTHING]);
    }

    #[test]
    fn names_are_alternatives() {
        let permission = rights(&["queue.a", "t"], &["a", "a.dead", "subscription.n.s"]).permission();
        assert_eq!(permission.write, r"^(queue\.a|t)\z");
        assert_eq!(permission.read, r"^(a(\.dead)?|subscription\.n\.s)\z");
    }

    #[test]
    fn parts_are_one_right_however_many_there_are() {
        let parted = Rights { read: set(&["a", "q.dead"]), parts: set(&["q"]), ..Rights::default() };
        let permission = parted.permission();
        assert_eq!(permission.read, r"^(a|q\.dead|part\.q\.[0-9]+)\z");
        assert!(parted.cover(&permission) && !parted.is_empty());
        assert!(!rights(&[], &["a", "q.dead"]).cover(&permission), "the parts were taken away");
        assert_eq!(rights(&[], &["a", "b"]).within(&permission), rights(&[], &["a"]));
        let other = Rights { parts: set(&["q", "r"]), ..Rights::default() };
        assert_eq!(other.within(&permission), Rights { parts: set(&["q"]), ..Rights::default() });
        for expression in ["^(part\\..*\\.[0-9]+)\\z", "^(part\\.\\.[0-9]+)\\z", "^(x[0-9]+)\\z", "^([0-9]+)\\z"] {
            assert_eq!(parse(expression), None, "{expression}");
        }
    }

    #[test]
    fn what_was_taken_away_is_seen() {
        let before = rights(&["t"], &["a", "a.dead"]);
        assert!(before.cover(&before.permission()));
        assert!(rights(&["t", "u"], &["a", "a.dead", "b"]).cover(&before.permission()), "more is not less");
        assert!(!rights(&["t"], &["a"]).cover(&before.permission()));
        assert!(!rights(&[], &["a", "a.dead"]).cover(&before.permission()));
        assert!(Rights::default().cover(&Rights::default().permission()));
    }

    #[test]
    fn what_is_left_of_a_permission_is_in_both() {
        let permission = rights(&["t", "u"], &["a"]).permission();
        assert_eq!(rights(&["u", "v"], &["a", "b"]).within(&permission), rights(&["u"], &["a"]));
        let all = Permission { configure: ".*".into(), write: ".*".into(), read: ".*".into() };
        assert_eq!(rights(&["u"], &["a"]).within(&all), rights(&["u"], &["a"]));
    }

    #[test]
    fn an_expression_of_an_unknown_form_may_allow_anything() {
        for expression in [".*", "", "^t", "t", "^(t|.*)\\z", "^(t)$", "^(t(\\.dead)?x)\\z", "^(t\\"] {
            let permission = Permission { configure: NOTHING.into(), write: expression.into(), read: NOTHING.into() };
            let known = expression.is_empty();
            assert_eq!(rights(&["t", "t.dead"], &[]).cover(&permission), known, "{expression}");
        }
        let declares = Permission { configure: ".*".into(), write: NOTHING.into(), read: NOTHING.into() };
        assert!(!rights(&["t"], &["q"]).cover(&declares));
    }

    #[test]
    fn what_the_broker_would_refuse_is_known_before() {
        let long: Vec<String> = (0..20).map(|number| format!("{}{number}", "q".repeat(55))).collect();
        let of = |count: usize| Rights { read: long.iter().take(count).cloned().collect(), ..Rights::default() };
        assert!(of(17).fit() && !of(18).fit());
    }

    fn any_name() -> impl Strategy<Value = String> {
        prop_oneof!["[a-z0-9-]{1,6}", "[a-z]{1,3}(\\.dead){0,3}", "subscription\\.[a-z]{1,2}\\.[a-z]{1,2}(\\.dead)?", "\\PC{1,6}"]
    }

    proptest! {
        #[test]
        fn i3_the_expression_matches_exactly_the_names(
            names in prop::collection::btree_set(any_name(), 0..8),
            parts in prop::collection::btree_set("[a-z0-9-]{1,4}", 0..3),
            others in prop::collection::vec(any_name(), 0..8),
        ) {
            let expression = pattern(&names, &parts);
            let regex = Regex::new(&expression).unwrap();
            for part in &parts {
                for (near, is_part) in [("0", true), ("127", true), ("", false), ("x", false), ("1.dead", false), ("1\n", false)] {
                    prop_assert_eq!(regex.is_match(&format!("part.{part}.{near}")), is_part, "{} {:?}", expression, near);
                }
                let longer = format!("{part}x");
                prop_assert_eq!(regex.is_match(&format!("part.{longer}.1")), parts.contains(&longer));
            }
            for name in &names {
                prop_assert!(regex.is_match(name), "{} {:?}", expression, name);
                for near in [format!("{name}x"), format!("x{name}"), format!("{name}\n"), format!("{name}.dead"), name.to_uppercase()] {
                    prop_assert_eq!(regex.is_match(&near), names.contains(&near), "{} {:?}", expression, near);
                }
            }
            for other in &others {
                prop_assert_eq!(regex.is_match(other), names.contains(other), "{} {:?}", expression, other);
            }
            prop_assert!(!regex.is_match("") || names.is_empty() && parts.is_empty());
            prop_assert_eq!(parse(&expression), Some(Names { exact: names, parts }));
        }
    }
}
