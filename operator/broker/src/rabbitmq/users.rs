//! Users and permissions over RabbitMQ's HTTP API.
//!
//! A password travels as its salted hash: RabbitMQ's access log, a proxy or a dump of traffic never sees it.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use entente_core::client::password::{HASHING_ALGORITHM, PasswordHash};
use entente_core::client::users::{ObservedUser, ObservedUsers, Permission, UserAction};
use futures::try_join;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::json;

use super::RabbitMq;
use super::http::path;
use crate::admin::AdminError;
use crate::users::UserAdmin;

#[derive(Deserialize)]
struct User {
    name: String,
    #[serde(default)]
    password_hash: String,
    #[serde(default)]
    hashing_algorithm: String,
    #[serde(default)]
    tags: Tags,
}

/// A list, or with commas in older versions and in definitions.
#[derive(Deserialize)]
#[serde(untagged)]
enum Tags {
    List(BTreeSet<String>),
    Text(String),
}

impl Default for Tags {
    fn default() -> Self {
        Self::List(BTreeSet::new())
    }
}

impl From<Tags> for BTreeSet<String> {
    fn from(tags: Tags) -> Self {
        match tags {
            Tags::List(tags) => tags,
            Tags::Text(text) => text.split(',').map(str::trim).filter(|tag| !tag.is_empty()).map(str::to_owned).collect(),
        }
    }
}

/// The user that is logged in.
#[derive(Deserialize)]
struct Own {
    #[serde(default)]
    tags: Tags,
}

impl RabbitMq {
    pub(super) async fn read_own_tags(&self) -> Result<Vec<String>, AdminError> {
        let own: Own = self.http.get(&path(&["whoami"])?).await?;
        Ok(BTreeSet::<String>::from(own.tags).into_iter().collect())
    }

    pub(super) async fn grant_self(&self, virtual_host: &str) -> Result<(), AdminError> {
        const ALL: &str = ".*";
        let place = path(&["permissions", virtual_host, self.http.username()])?;
        match self.http.get::<Permitted>(&place).await {
            Ok(own) if [&own.configure, &own.write, &own.read].into_iter().all(|right| right == ALL) => Ok(()),
            Ok(_) | Err(AdminError::NotFound(_)) => {
                self.http.put(&place, &json!({"configure": ALL, "write": ALL, "read": ALL})).await
            }
            Err(error) => Err(error),
        }
    }
}

#[derive(Deserialize)]
struct Permitted {
    user: String,
    vhost: String,
    configure: String,
    write: String,
    read: String,
}

fn observed(users: Vec<User>, permitted: Vec<Permitted>, seen_at: Timestamp) -> ObservedUsers {
    let mut seen: BTreeMap<String, ObservedUser> = users
        .into_iter()
        .map(|User { name, password_hash, hashing_algorithm, tags }| {
            // Of another algorithm it is another hash, whatever its text: it will not compare as ours.
            let text = if hashing_algorithm == HASHING_ALGORITHM {
                password_hash
            } else {
                format!("{hashing_algorithm}:{password_hash}")
            };
            let user = ObservedUser { tags: tags.into(), password_hash: PasswordHash::new(text), permissions: BTreeMap::new() };
            (name, user)
        })
        .collect();
    for Permitted { user, vhost, configure, write, read } in permitted {
        // A user may be deleted between the two reads; its permissions then are of nobody.
        if let Some(user) = seen.get_mut(&user) {
            user.permissions.insert(vhost, Permission { configure, write, read });
        }
    }
    ObservedUsers { users: seen, seen_at: Some(seen_at) }
}

#[async_trait]
impl UserAdmin for RabbitMq {
    async fn read_users(&self) -> Result<ObservedUsers, AdminError> {
        let seen_at = Timestamp::now();
        let (users, permissions) = (path(&["users"])?, path(&["permissions"])?);
        let (users, permissions): (Vec<User>, Vec<Permitted>) = try_join!(self.http.get(&users), self.http.get(&permissions))?;
        Ok(observed(users, permissions, seen_at))
    }

    async fn execute_user(&self, action: &UserAction) -> Result<(), AdminError> {
        match action {
            UserAction::Put { user, password_hash, tags } => {
                let tags: Vec<&str> = tags.iter().map(String::as_str).collect();
                let body = json!({
                    "password_hash": password_hash.reveal(), "hashing_algorithm": HASHING_ALGORITHM, "tags": tags.join(","),
                });
                self.http.put(&path(&["users", user])?, &body).await
            }
            UserAction::Delete { user } => self.http.delete(&path(&["users", user])?).await,
            UserAction::SetPermission { user, virtual_host, permission: Permission { configure, write, read } } => {
                let body = json!({"configure": configure, "write": write, "read": read});
                self.http.put(&path(&["permissions", virtual_host, user])?, &body).await
            }
            UserAction::ClearPermission { user, virtual_host } => {
                self.http.delete(&path(&["permissions", virtual_host, user])?).await
            }
            UserAction::CloseConnections { user } => self.http.delete(&path(&["connections", "username", user])?).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(users: serde_json::Value, permissions: serde_json::Value) -> ObservedUsers {
        observed(serde_json::from_value(users).unwrap(), serde_json::from_value(permissions).unwrap(), Timestamp::UNIX_EPOCH)
    }

    /// As RabbitMQ 4.3 answers.
    #[test]
    fn users_and_permissions_come_together() {
        let seen = read(
            json!([
                {"name": "a", "password_hash": "aGFzaA==", "hashing_algorithm": "rabbit_password_hashing_sha256", "tags": ["x", "y"], "limits": {}},
                {"name": "b", "password_hash": "", "hashing_algorithm": "rabbit_password_hashing_sha512", "tags": [], "limits": {}},
            ]),
            json!([
                {"user": "a", "vhost": "shop", "configure": "^$", "write": "^(t)\\z", "read": ".*"},
                {"user": "gone", "vhost": "/", "configure": ".*", "write": ".*", "read": ".*"},
            ]),
        );
        assert_eq!(seen.users.len(), 2);
        assert_eq!(seen.users["a"].tags.len(), 2);
        assert_eq!(seen.users["a"].password_hash, PasswordHash::new("aGFzaA==".into()));
        assert_eq!(seen.users["a"].permissions["shop"].write, "^(t)\\z");
        assert!(seen.users["b"].permissions.is_empty());
    }

    #[test]
    fn tags_may_be_a_text() {
        let tags = |value| BTreeSet::from(serde_json::from_value::<Tags>(value).unwrap());
        assert_eq!(tags(json!("a, b")), tags(json!(["b", "a"])));
        assert!(tags(json!("")).is_empty());
    }

    #[test]
    fn a_hash_of_another_algorithm_is_never_alike() {
        let user = |algorithm: &str| {
            let users = json!([{"name": "a", "password_hash": "aGFzaA==", "hashing_algorithm": algorithm, "tags": []}]);
            read(users, json!([])).users["a"].password_hash.clone()
        };
        assert_ne!(user("rabbit_password_hashing_md5"), user(HASHING_ALGORITHM));
    }
}
