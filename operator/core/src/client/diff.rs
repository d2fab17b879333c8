//! `(desired, observed) → actions` for the users of one Client.
//!
//! RabbitMQ asks for a permission when a link attaches, or at the first message to an address, and remembers the answer
//! as long as the session lives. A right that is taken away therefore ends only with the connections. They are closed
//! after the permission is set, and a tag ([`CLOSING`]) remembers that this is still to be done if it is cut off before.

use std::collections::{BTreeMap, BTreeSet};

use super::password::PasswordHash;
use super::rights::Rights;
use super::users::{ObservedUser, ObservedUsers, UserAction};

/// Tag of a user whose connections are to be closed. It gives no rights.
pub const CLOSING: &str = "entente-closing";

/// Users that a Client wants.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Desired {
    /// Tag that proves whose the users are.
    pub owner_tag: String,
    /// Users that are alive.
    pub alive: Vec<Alive>,
    /// The virtual host, and what may be done there.
    pub virtual_host: String,
    /// Rights in it. Without any, the user cannot even connect.
    pub rights: Rights,
    /// Own users that are not alive any more.
    pub surplus: Vec<String>,
}

/// A user that is alive.
#[derive(Clone, Debug, PartialEq)]
pub struct Alive {
    /// Its name.
    pub user: String,
    /// Its password, where it is known; where not, it stays as it is.
    pub password_hash: Option<PasswordHash>,
}

/// A user of a wanted name exists and is not ours.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the broker has a user {user} that is not of this Broker (it lacks the tag {tag}); it is left alone. Delete it there, or create a Client of another name"
)]
pub struct Foreign {
    /// Its name.
    pub user: String,
    /// The tag that would prove ownership.
    pub tag: String,
}

/// The way from what was observed to what is desired, one action after another.
pub fn diff(desired: &Desired, observed: &ObservedUsers) -> Result<Vec<UserAction>, Foreign> {
    let mut actions = Vec::new();
    for alive in &desired.alive {
        match observed.users.get(&alive.user) {
            Some(seen) if !seen.tags.contains(&desired.owner_tag) => {
                return Err(Foreign { user: alive.user.clone(), tag: desired.owner_tag.clone() });
            }
            seen => one(desired, alive, seen, &mut actions),
        }
    }
    for user in &desired.surplus {
        // Deleted by somebody else, or somebody else's (invariant I2).
        if observed.users.get(user).is_some_and(|seen| seen.tags.contains(&desired.owner_tag)) {
            actions.push(UserAction::Delete { user: user.clone() });
            actions.push(UserAction::CloseConnections { user: user.clone() });
        }
    }
    Ok(actions)
}

fn one(desired: &Desired, alive: &Alive, seen: Option<&ObservedUser>, actions: &mut Vec<UserAction>) {
    let Some(password_hash) = alive.password_hash.clone().or_else(|| seen.map(|seen| seen.password_hash.clone())) else {
        // Deleted by hand, and its password is not known: nobody can bring it back. The Secret names a newer one.
        return;
    };
    let user = &alive.user;
    let put = |tags: &[&str]| UserAction::Put {
        user: user.clone(),
        password_hash: password_hash.clone(),
        tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
    };
    let owner = desired.owner_tag.as_str();
    let permitted = permission_changes(desired, user, seen);
    let closing = seen.is_some_and(|seen| seen.tags.contains(CLOSING) || !covers(desired, seen));
    let marked = seen.is_some_and(|seen| seen.tags.contains(CLOSING));
    let is_alike = |seen: &ObservedUser, tags: &[&str]| {
        seen.password_hash == password_hash && seen.tags == tags.iter().map(|tag| (*tag).to_owned()).collect::<BTreeSet<_>>()
    };
    if closing {
        if !(marked && seen.is_some_and(|seen| is_alike(seen, &[owner, CLOSING]))) {
            actions.push(put(&[owner, CLOSING]));
        }
        actions.extend(permitted);
        actions.push(UserAction::CloseConnections { user: user.clone() });
        actions.push(put(&[owner]));
        return;
    }
    if !seen.is_some_and(|seen| is_alike(seen, &[owner])) {
        actions.push(put(&[owner]));
    }
    actions.extend(permitted);
}

/// Whether everything that a user may do is still to be allowed.
fn covers(desired: &Desired, seen: &ObservedUser) -> bool {
    seen.permissions.iter().all(|(host, permission)| {
        if *host == desired.virtual_host && !desired.rights.is_empty() { desired.rights.cover(permission) } else { false }
    })
}

fn permission_changes(desired: &Desired, user: &str, seen: Option<&ObservedUser>) -> Vec<UserAction> {
    let wanted = (!desired.rights.is_empty()).then(|| desired.rights.permission());
    let mut changes = Vec::new();
    let found = |host: &str| seen.and_then(|seen| seen.permissions.get(host));
    if let Some(permission) = wanted.clone().filter(|wanted| found(&desired.virtual_host) != Some(wanted)) {
        let virtual_host = desired.virtual_host.clone();
        changes.push(UserAction::SetPermission { user: user.to_owned(), virtual_host, permission });
    }
    let elsewhere = seen.into_iter().flat_map(|seen| seen.permissions.keys());
    changes.extend(
        elsewhere
            .filter(|host| wanted.is_none() || **host != desired.virtual_host)
            .map(|host| UserAction::ClearPermission { user: user.to_owned(), virtual_host: host.clone() }),
    );
    changes
}

/// Takes away what is no longer granted, and changes nothing else: for a Client that is paused or whose spec is not valid.
/// Its own mistakes must not keep up a right that another namespace has taken back (invariant I3).
///
/// `users` are this Client's by their names; `allowed` are the rights that are declared and granted, by virtual host.
pub fn shrink(
    owner_tag: &str,
    users: &[String],
    allowed: &BTreeMap<String, Rights>,
    observed: &ObservedUsers,
) -> Vec<UserAction> {
    let nothing = Rights::default();
    let mut actions = Vec::new();
    for user in users {
        let Some(seen) = observed.users.get(user).filter(|seen| seen.tags.contains(owner_tag)) else { continue };
        let mut changes = Vec::new();
        for (host, permission) in &seen.permissions {
            let rights = allowed.get(host).unwrap_or(&nothing);
            if !rights.is_empty() && rights.cover(permission) {
                continue;
            }
            let (user, virtual_host, left) = (user.clone(), host.clone(), rights.within(permission));
            changes.push(if left.is_empty() {
                UserAction::ClearPermission { user, virtual_host }
            } else {
                UserAction::SetPermission { user, virtual_host, permission: left.permission() }
            });
        }
        let marked = seen.tags.contains(CLOSING);
        if changes.is_empty() && !marked {
            continue;
        }
        let put = |tags: &[&str]| UserAction::Put {
            user: user.clone(),
            password_hash: seen.password_hash.clone(),
            tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
        };
        if !marked {
            actions.push(put(&[owner_tag, CLOSING]));
        }
        actions.extend(changes);
        actions.push(UserAction::CloseConnections { user: user.clone() });
        actions.push(put(&[owner_tag]));
    }
    actions
}

#[cfg(test)]
mod tests {
    use super::super::password::Password;
    use super::super::users::Permission;
    use super::*;

    const TAG: &str = "entente-broker-u";

    fn hash(password: &str) -> PasswordHash {
        PasswordHash::of("shop.web.1", &Password::new(password.into()))
    }

    fn rights(write: &[&str], read: &[&str]) -> Rights {
        let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Rights { write: set(write), read: set(read), parts: BTreeSet::new() }
    }

    fn desired(rights: Rights) -> Desired {
        Desired {
            owner_tag: TAG.into(),
            alive: vec![Alive { user: "shop.web.1".into(), password_hash: Some(hash("a")) }],
            virtual_host: "shop".into(),
            rights,
            surplus: Vec::new(),
        }
    }

    fn made(desired: &Desired) -> ObservedUsers {
        let mut seen = ObservedUsers::default();
        diff(desired, &seen.clone()).unwrap().iter().for_each(|action| seen.note(action));
        seen
    }

    fn words(desired: &Desired, seen: &ObservedUsers) -> Vec<String> {
        let actions = diff(desired, seen).unwrap();
        let mut after = seen.clone();
        for action in &actions {
            after.note(action);
        }
        assert_eq!(diff(desired, &after), Ok(Vec::new()), "what was done leaves nothing to do");
        // Cut off after any action, the next attempt comes to the same end.
        for cut in 0..actions.len() {
            let mut partly = seen.clone();
            actions[..cut].iter().for_each(|action| partly.note(action));
            let rest = diff(desired, &partly).unwrap();
            for action in &rest {
                partly.note(action);
            }
            assert_eq!(partly, after, "cut off after {cut}");
            let closes =
                |actions: &[UserAction]| actions.iter().any(|action| matches!(action, UserAction::CloseConnections { .. }));
            let deleted = actions[..cut].iter().any(|action| matches!(action, UserAction::Delete { .. }));
            // The broker itself closes the connections of a user that is deleted.
            assert!(
                !closes(&actions) || closes(&actions[..cut]) || closes(&rest) || deleted,
                "connections stay open if cut off after {cut}"
            );
        }
        actions.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_new_user_has_its_password_before_its_rights() {
        let wanted = desired(rights(&["t"], &["q"]));
        assert_eq!(
            words(&wanted, &ObservedUsers::default()),
            ["put user shop.web.1 [entente-broker-u]", r"permit shop.web.1 in shop: configure ^$, write ^(t)\z, read ^(q)\z"]
        );
    }

    #[test]
    fn i6_what_is_as_desired_is_left_alone() {
        for wanted in [desired(rights(&["t"], &["q"])), desired(Rights::default())] {
            assert_eq!(diff(&wanted, &made(&wanted)), Ok(Vec::new()));
        }
    }

    #[test]
    fn more_rights_close_nothing() {
        let seen = made(&desired(rights(&["t"], &[])));
        assert_eq!(words(&desired(rights(&["t", "u"], &["q"])), &seen).len(), 1);
    }

    #[test]
    fn fewer_rights_close_the_connections() {
        let seen = made(&desired(rights(&["t"], &["q"])));
        assert_eq!(
            words(&desired(rights(&["t"], &[])), &seen),
            [
                "put user shop.web.1 [entente-broker-u,entente-closing]",
                r"permit shop.web.1 in shop: configure ^$, write ^(t)\z, read ^$",
                "close connections of shop.web.1",
                "put user shop.web.1 [entente-broker-u]"
            ]
        );
        let none = words(&desired(Rights::default()), &seen);
        assert_eq!(none[1], "permit shop.web.1 nothing in shop");
        assert!(none.contains(&"close connections of shop.web.1".to_owned()));
    }

    #[test]
    fn rights_that_somebody_added_are_taken_away_with_the_connections() {
        let wanted = desired(rights(&["t"], &["q"]));
        let all = Permission { configure: ".*".into(), write: ".*".into(), read: ".*".into() };
        for host in ["shop", "/", "other"] {
            let mut seen = made(&wanted);
            seen.users.get_mut("shop.web.1").unwrap().permissions.insert(host.into(), all.clone());
            assert!(words(&wanted, &seen).contains(&"close connections of shop.web.1".to_owned()), "{host}");
        }
    }

    #[test]
    fn another_virtual_host_is_a_move() {
        let seen = made(&desired(rights(&["t"], &[])));
        let wanted = Desired { virtual_host: "other".into(), ..desired(rights(&["t"], &[])) };
        let done = words(&wanted, &seen);
        assert!(done.contains(&"permit shop.web.1 nothing in shop".to_owned()));
        assert!(done.iter().any(|word| word.starts_with("permit shop.web.1 in other")));
    }

    #[test]
    fn passwords_and_tags_that_were_changed_are_put_right() {
        let wanted = desired(rights(&["t"], &[]));
        let mut seen = made(&wanted);
        seen.users.get_mut("shop.web.1").unwrap().password_hash = hash("b");
        assert_eq!(words(&wanted, &seen), ["put user shop.web.1 [entente-broker-u]"]);
        let mut seen = made(&wanted);
        seen.users.get_mut("shop.web.1").unwrap().tags.insert("administrator".into());
        assert_eq!(words(&wanted, &seen), ["put user shop.web.1 [entente-broker-u]"]);
    }

    #[test]
    fn i2_a_user_without_our_tag_is_not_touched() {
        let mut wanted = desired(rights(&["t"], &[]));
        let mut seen = made(&wanted);
        seen.users.get_mut("shop.web.1").unwrap().tags = BTreeSet::from(["entente-broker-other".into()]);
        assert!(diff(&wanted, &seen).is_err());
        wanted.alive.clear();
        wanted.surplus.push("shop.web.1".into());
        assert_eq!(diff(&wanted, &seen), Ok(Vec::new()));
    }

    #[test]
    fn the_user_before_has_the_same_rights_and_keeps_its_password() {
        let mut wanted = desired(rights(&["t"], &[]));
        let seen = made(&wanted);
        wanted.alive[0].password_hash = None;
        wanted.alive.push(Alive { user: "shop.web.2".into(), password_hash: Some(hash("b")) });
        wanted.rights = rights(&["u"], &[]);
        let done = words(&wanted, &seen);
        assert!(done.iter().any(|word| word.starts_with(r"permit shop.web.1 in shop: configure ^$, write ^(u)")));
        // One that was deleted by hand cannot be brought back.
        wanted.alive[0].user = "shop.web.0".into();
        assert!(words(&wanted, &seen).iter().all(|word| !word.contains("shop.web.0")));
    }

    #[test]
    fn what_is_surplus_goes_with_its_connections() {
        let mut wanted = desired(rights(&["t"], &[]));
        let seen = made(&wanted);
        wanted.alive.clear();
        wanted.surplus.push("shop.web.1".into());
        assert_eq!(words(&wanted, &seen), ["delete user shop.web.1", "close connections of shop.web.1"]);
    }

    #[test]
    fn i3_what_is_paused_or_invalid_loses_what_is_taken_back_and_gains_nothing() {
        let seen = made(&desired(rights(&["t", "u"], &["q"])));
        let users = ["shop.web.1".to_owned(), "shop.web.2".to_owned()];
        let shrunk = |allowed: &[(&str, Rights)], seen: &ObservedUsers| {
            let allowed = allowed.iter().map(|(host, rights)| ((*host).to_owned(), rights.clone())).collect();
            let actions = shrink(TAG, &users, &allowed, seen);
            let mut after = seen.clone();
            for action in &actions {
                after.note(action);
            }
            assert!(shrink(TAG, &users, &allowed, &after).is_empty());
            actions.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert!(shrunk(&[("shop", rights(&["t", "u", "v"], &["q", "r"]))], &seen).is_empty());
        assert_eq!(
            shrunk(&[("shop", rights(&["t", "v"], &[]))], &seen),
            [
                "put user shop.web.1 [entente-broker-u,entente-closing]",
                r"permit shop.web.1 in shop: configure ^$, write ^(t)\z, read ^$",
                "close connections of shop.web.1",
                "put user shop.web.1 [entente-broker-u]"
            ]
        );
        assert_eq!(shrunk(&[("other", rights(&["t", "u"], &["q"]))], &seen)[1], "permit shop.web.1 nothing in shop");
        // One that was cut off is finished, and one that is not ours is not touched (invariant I2).
        let mut cut = seen.clone();
        cut.users.get_mut("shop.web.1").unwrap().tags.insert(CLOSING.into());
        assert_eq!(shrunk(&[("shop", rights(&["t", "u"], &["q"]))], &cut).len(), 2);
        cut.users.get_mut("shop.web.1").unwrap().tags.clear();
        assert!(shrunk(&[], &cut).is_empty());
    }
}
