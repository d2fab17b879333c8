//! Names of the broker users of a Client: `<namespace>.<client>.<serial>`.
//!
//! Namespace and Client are DNS labels and have no dot, so that no two Clients can want one name.

/// Name of a Client's user. The serial grows with each new password.
pub fn user_name(namespace: &str, client: &str, serial: u64) -> String {
    format!("{namespace}.{client}.{serial}")
}

/// The Client that a user of such a name belongs to, and its serial.
pub fn owner_of(user: &str) -> Option<(&str, &str, u64)> {
    let mut parts = user.split('.');
    let (namespace, client, digits) = (parts.next()?, parts.next()?, parts.next()?);
    let serial: u64 = digits.parse().ok()?;
    // "+1" and "01" parse, and are names that we do not make.
    let plain = parts.next().is_none() && !namespace.is_empty() && !client.is_empty() && serial.to_string() == digits;
    plain.then_some((namespace, client, serial))
}

/// The serial of a user, if it is this Client's.
pub fn serial_of(namespace: &str, client: &str, user: &str) -> Option<u64> {
    owner_of(user).filter(|(of, name, _)| (*of, *name) == (namespace, client)).map(|(_, _, serial)| serial)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn names_of_two_clients_never_meet(
            a in ("[a-z0-9-]{1,8}", "[a-z0-9-]{1,8}", any::<u64>()),
            b in ("[a-z0-9-]{1,8}", "[a-z0-9-]{1,8}", any::<u64>()),
        ) {
            prop_assert_eq!(user_name(&a.0, &a.1, a.2) == user_name(&b.0, &b.1, b.2), a == b);
            let user = user_name(&a.0, &a.1, a.2);
            prop_assert_eq!(owner_of(&user), Some((a.0.as_str(), a.1.as_str(), a.2)));
        }
    }

    #[test]
    fn i2_a_name_that_we_do_not_make_is_nobodys() {
        for name in ["guest", "a.b", "a.b.", "a.b.c", "a.b.01", "a.b.+1", "a.b.1.2", ".b.1", "a..1", "a.b.99999999999999999999"] {
            assert_eq!(owner_of(name), None, "{name}");
        }
        assert_eq!(serial_of("a", "b", "a.b.7"), Some(7));
        assert_eq!(serial_of("a", "b", "a.c.7"), None);
    }
}
