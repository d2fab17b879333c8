//! What Entente asks of a broker for planned work on its nodes.

use async_trait::async_trait;
use entente_core::cluster::work::{Members, Move};

use crate::admin::AdminError;

/// Planned work on one broker's nodes. Every call ends within a bounded time.
#[async_trait]
pub trait NodeAdmin: Send + Sync {
    /// How the members of every quorum queue stand; `None` if not every node can tell (an older image).
    async fn members(&self) -> Result<Option<Members>, AdminError>;

    /// Moves leaders. Returns, for people, those that were not moved, and why.
    async fn move_leaders(&self, moves: &[Move]) -> Result<Vec<String>, AdminError>;

    /// Closes at most so many connections of clients of a node. Returns how many.
    async fn close_connections(&self, node: &str, most: u32) -> Result<u32, AdminError>;
}
