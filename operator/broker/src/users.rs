//! What Entente asks of a broker about its users.

use async_trait::async_trait;
use entente_core::client::users::{ObservedUsers, UserAction};

use crate::admin::AdminError;

/// Administration of one broker's users. Every call ends within a bounded time.
#[async_trait]
pub trait UserAdmin: Send + Sync {
    /// All users with their tags and their permissions in all virtual hosts, in a fixed number of requests.
    async fn read_users(&self) -> Result<ObservedUsers, AdminError>;

    /// Carries out one action. Idempotent: what is there already, or gone already, is success.
    async fn execute_user(&self, action: &UserAction) -> Result<(), AdminError>;
}
