//! What Entente asks of a broker for planned work on its nodes.

use async_trait::async_trait;
use entente_core::cluster::work::{MemberChange, Members, Move};

use crate::admin::AdminError;

/// Planned work on one broker's nodes. Every call ends within a bounded time.
#[async_trait]
pub trait NodeAdmin: Send + Sync {
    /// How the members of every quorum queue stand; `None` if not every node can tell (an older image).
    async fn members(&self) -> Result<Option<Members>, AdminError>;

    /// Moves leaders. Returns, for people, those that were not moved, and why.
    async fn move_leaders(&self, moves: &[Move]) -> Result<Vec<String>, AdminError>;

    /// Adds members to queues and takes them away. Returns, for people, those that did not succeed, and why.
    async fn change_members(&self, changes: &[MemberChange]) -> Result<Vec<String>, AdminError>;

    /// Has a node that holds no member of any queue leave the cluster for good. It takes some seconds, and is to be repeated until the
    /// cluster knows the node no more; refused while it holds something.
    async fn remove_node(&self, node: &str) -> Result<(), AdminError>;

    /// Closes at most so many connections of clients of a node. Returns how many.
    async fn close_connections(&self, node: &str, most: u32) -> Result<u32, AdminError>;
}
