//! A password, and what the broker keeps of it.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

/// RabbitMQ's name of the hash made here.
pub const HASHING_ALGORITHM: &str = "rabbit_password_hashing_sha256";
const SALT: usize = 4;

/// A password. What is debugged is logged, so `Debug` does not show it (invariant I8).
#[derive(Clone, PartialEq, Eq)]
pub struct Password(String);

impl Password {
    /// Takes a text as a password.
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// The text.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password")
    }
}

/// RabbitMQ's form of a password: base64 of a salt of four bytes and of the SHA-256 of salt and password.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash(String);

impl PasswordHash {
    /// Takes what the broker told.
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// The hash of a user's password.
    ///
    /// The salt comes from the user's name, so that one password has one hash and drift is seen by comparing. A salt
    /// defends weak passwords against tables made before; ours are random texts of more than 230 bits.
    pub fn of(user: &str, password: &Password) -> Self {
        let salt = Sha256::digest(user.as_bytes());
        let salt = &salt[..SALT];
        let mut hash = Sha256::new();
        hash.update(salt);
        hash.update(password.reveal().as_bytes());
        Self(STANDARD.encode([salt, hash.finalize().as_slice()].concat()))
    }

    /// The text, for a request.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_of_rabbitmqs_form() {
        let hash = PasswordHash::of("shop.web.1", &Password::new("sesame".into()));
        let bytes = STANDARD.decode(hash.reveal()).unwrap();
        assert_eq!(bytes.len(), SALT + 32);
        let mut expected = Sha256::new();
        expected.update(&bytes[..SALT]);
        expected.update(b"sesame");
        assert_eq!(&bytes[SALT..], expected.finalize().as_slice());
    }

    #[test]
    fn a_hash_is_of_its_user_and_password() {
        let of = |user: &str, password: &str| PasswordHash::of(user, &Password::new(password.into()));
        assert_eq!(of("a", "x"), of("a", "x"));
        assert_ne!(of("a", "x"), of("a", "y"));
        assert_ne!(of("a", "x"), of("b", "x"));
    }

    #[test]
    fn i8_neither_is_debugged() {
        let password = Password::new("sesame".into());
        assert!(!format!("{password:?}").contains("sesame"));
        let hash = PasswordHash::of("a", &password);
        assert!(!format!("{hash:?}").contains(hash.reveal()));
    }
}
