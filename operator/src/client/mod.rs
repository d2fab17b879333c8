//! The controller of Clients: users and permissions at the broker, and the Secret that tells a workload how to connect.
//!
//! Expected flow of a visit: find what each entry refers to and whether it is granted; know the users of the Broker; read the
//! Secret, which is the record of the password; make or keep the users with exactly these rights; write the Secret; write
//! the status. What is decided is in `entente_core::client`.

pub mod context;
pub mod deletion;
pub mod news;
pub mod reconcile;
pub mod secrets;
pub mod shrink;

pub use context::ClientContext;
