//! Users and their permissions, as the broker has them, and what can be done with them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use jiff::Timestamp;

use super::password::PasswordHash;

/// What a user may do in one virtual host: a regular expression over names for each right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Permission {
    /// Names that may be declared and deleted.
    pub configure: String,
    /// Names that may be written to.
    pub write: String,
    /// Names that may be read from.
    pub read: String,
}

/// A user as the broker reports it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObservedUser {
    /// Its tags: proof of ownership, and what it may do at the management API.
    pub tags: BTreeSet<String>,
    /// What is kept of its password.
    pub password_hash: PasswordHash,
    /// Permissions by virtual host. Where there is none, the user cannot connect.
    pub permissions: BTreeMap<String, Permission>,
}

/// All users of a broker.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ObservedUsers {
    /// By name.
    pub users: BTreeMap<String, ObservedUser>,
    /// When reading began.
    pub seen_at: Option<Timestamp>,
}

/// One change of users. Every action is idempotent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UserAction {
    /// Create a user, or replace its password and tags. Its permissions stay.
    Put {
        /// Its name.
        user: String,
        /// Its password, as the broker keeps it.
        password_hash: PasswordHash,
        /// Its tags, and no others.
        tags: BTreeSet<String>,
    },
    /// Delete a user with all its permissions.
    Delete {
        /// Its name.
        user: String,
    },
    /// Set what a user may do in a virtual host.
    SetPermission {
        /// Its name.
        user: String,
        /// The virtual host.
        virtual_host: String,
        /// What it may.
        permission: Permission,
    },
    /// Let a user do nothing in a virtual host, not even connect.
    ClearPermission {
        /// Its name.
        user: String,
        /// The virtual host.
        virtual_host: String,
    },
    /// Close all connections of a user, whether it still exists or not.
    CloseConnections {
        /// Its name.
        user: String,
    },
}

impl fmt::Display for UserAction {
    /// Without passwords, and without their hashes (invariant I8).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Put { user, tags, .. } => write!(f, "put user {user} [{}]", tags.iter().cloned().collect::<Vec<_>>().join(",")),
            Self::Delete { user } => write!(f, "delete user {user}"),
            Self::SetPermission { user, virtual_host, permission: Permission { configure, write, read } } => {
                write!(f, "permit {user} in {virtual_host}: configure {configure}, write {write}, read {read}")
            }
            Self::ClearPermission { user, virtual_host } => write!(f, "permit {user} nothing in {virtual_host}"),
            Self::CloseConnections { user } => write!(f, "close connections of {user}"),
        }
    }
}

impl ObservedUsers {
    /// Notes that an action succeeded. The broker remains the judge: the next read replaces all of this.
    pub fn note(&mut self, action: &UserAction) {
        match action {
            UserAction::Put { user, password_hash, tags } => {
                let permissions = self.users.remove(user).map(|seen| seen.permissions).unwrap_or_default();
                let seen = ObservedUser { tags: tags.clone(), password_hash: password_hash.clone(), permissions };
                self.users.insert(user.clone(), seen);
            }
            UserAction::Delete { user } => drop(self.users.remove(user)),
            UserAction::SetPermission { user, virtual_host, permission } => {
                if let Some(seen) = self.users.get_mut(user) {
                    seen.permissions.insert(virtual_host.clone(), permission.clone());
                }
            }
            UserAction::ClearPermission { user, virtual_host } => {
                if let Some(seen) = self.users.get_mut(user) {
                    seen.permissions.remove(virtual_host);
                }
            }
            UserAction::CloseConnections { .. } => {}
        }
    }
}
