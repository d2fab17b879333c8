//! A Queue's part of the pipeline: `validate → desired → (topology::diff) → deletion → status`.

pub mod affected;
pub mod deletion;
pub mod desired;
pub mod status;
pub mod validate;
