//! KEDA's external scaler: the depth of Queues and Subscriptions, for those who already run KEDA.
//!
//! ```text
//! KEDA ──gRPC, TLS──► server ──► desk ──► scaling::lookout ──► board: what the leaders of queues say, twice a second
//! ```
//!
//! - The leader alone listens, since it alone reads depths. At another replica the connection is refused at once, and KEDA's client
//!   tries again; through the Service it comes to the leader within seconds. Nobody answers out of ignorance.
//! - The namespace of a question is that of the ScaledObject, by KEDA's word; a trigger cannot name another (invariant I3). Whoever reaches the
//!   port may say what KEDA says, and learns how many messages wait in a queue whose name is known, and nothing else.
//! - Nothing is written, and no workload is touched: that is KEDA's.

mod certificate;
mod desk;
mod protocol;
mod server;

pub use desk::Desk;
pub use server::serve;
