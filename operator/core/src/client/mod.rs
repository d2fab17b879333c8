//! What a Client may use, and the identity that it gets for that.

pub mod access;
pub mod common;
pub mod diff;
pub mod grants;
pub mod identity;
pub mod password;
pub mod rights;
pub mod rotation;
pub mod secret;
pub mod status;
pub mod users;
pub mod validate;
