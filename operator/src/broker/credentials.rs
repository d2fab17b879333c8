//! Random texts.

use rand::TryRng;
use rand::rngs::SysRng;

/// Characters that need no quoting in a configuration file, a URI or a shell.
const ALPHABET: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
/// 62^40 is more than 2^238.
const LENGTH: usize = 40;

/// The operating system gives no random numbers.
#[derive(Debug, thiserror::Error)]
#[error("the operating system gives no random numbers: {0}")]
pub struct NoRandomness(String);

/// A text that nobody can guess, from the operating system's random numbers.
pub fn random_text() -> Result<String, NoRandomness> {
    let mut text = String::with_capacity(LENGTH);
    let mut bytes = [0_u8; 64];
    while text.len() < LENGTH {
        SysRng.try_fill_bytes(&mut bytes).map_err(|error| NoRandomness(error.to_string()))?;
        // Bytes from 248 on would make the first characters of the alphabet more frequent.
        let fair = bytes.iter().filter(|byte| usize::from(**byte) < 4 * ALPHABET.len());
        text.extend(fair.map(|byte| char::from(ALPHABET[usize::from(*byte) % ALPHABET.len()])).take(LENGTH - text.len()));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_long_plain_and_different() {
        let (one, other) = (random_text().unwrap(), random_text().unwrap());
        assert_eq!(one.len(), LENGTH);
        assert!(one.chars().all(|c| c.is_ascii_alphanumeric()));
        assert_ne!(one, other);
    }
}
