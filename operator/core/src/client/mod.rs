//! What a Client may use, and the identity that it gets for that.

pub mod grants;
