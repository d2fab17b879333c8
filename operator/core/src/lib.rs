//! Pure logic of Entente.
