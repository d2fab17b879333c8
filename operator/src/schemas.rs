//! Schemas that stand in ConfigMaps, read alike for the webhook, the controller and documents. Bounds and words are in
//! [`entente_core::contract::kept`].

use std::collections::BTreeSet;
use std::time::Duration;

use async_trait::async_trait;
use entente_core::contract::kept::{Gathering, Kept, Place};
use futures::{StreamExt, stream};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{Api, Client};

/// ConfigMaps that are read at once. Each is held whole for a moment.
const AT_ONCE: usize = 4;

/// Whether something is there could not be found out, for lack of time or of rights.
#[derive(Clone, Copy, Debug)]
pub struct Unread;

/// Whoever reads ConfigMaps.
#[async_trait]
pub trait ConfigMaps: Send + Sync {
    /// A ConfigMap, if there is one.
    async fn config_map(&self, namespace: &str, name: &str) -> Result<Option<ConfigMap>, Unread>;
}

/// The API server, which is given so long for each ConfigMap.
#[derive(Clone)]
pub struct Within(pub Client, pub Duration);

#[async_trait]
impl ConfigMaps for Within {
    async fn config_map(&self, namespace: &str, name: &str) -> Result<Option<ConfigMap>, Unread> {
        let Self(client, patience) = self;
        let api: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
        match tokio::time::timeout(*patience, api.get_opt(name)).await {
            Ok(Ok(found)) => Ok(found),
            Ok(Err(error)) => {
                tracing::debug!(namespace, name, %error, "a ConfigMap could not be read");
                Err(Unread)
            }
            Err(_) => Err(Unread),
        }
    }
}

/// Schemas of a contract, from its own namespace alone (invariant I3), as far as they can be read.
pub async fn kept(maps: &dyn ConfigMaps, namespace: &str, places: BTreeSet<Place>) -> Kept {
    let mut gathering = Gathering::of(places);
    // In their order, so that the same ones are left out of a contract that has too many, whoever reads it.
    let mut read =
        stream::iter(gathering.names()).map(async |name| (maps.config_map(namespace, &name).await, name)).buffered(AT_ONCE);
    while !gathering.is_full()
        && let Some((map, name)) = read.next().await
    {
        match map {
            Ok(map) => gathering.take(&name, map),
            Err(Unread) => gathering.unread(&name),
        }
    }
    drop(read);
    gathering.end()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use entente_core::contract::MAX_BYTES;
    use entente_core::contract::kept::{MOST_BYTES, MOST_MAPS, Missing};

    use super::*;

    /// Holds a schema of the largest size under every name but some, and counts how often it is asked.
    #[derive(Default)]
    struct Large(AtomicUsize);

    #[async_trait]
    impl ConfigMaps for Large {
        async fn config_map(&self, namespace: &str, name: &str) -> Result<Option<ConfigMap>, Unread> {
            assert_eq!(namespace, "shop");
            self.0.fetch_add(1, Ordering::Relaxed);
            match name {
                "absent" => Ok(None),
                "forbidden" => Err(Unread),
                _ => {
                    let key = |key: &str| (key.to_owned(), "x".repeat(MAX_BYTES));
                    Ok(Some(ConfigMap { data: Some([key("a"), key("b")].into()), ..ConfigMap::default() }))
                }
            }
        }
    }

    #[tokio::test]
    async fn what_cannot_be_had_is_told_apart() {
        let places = ["there", "absent", "forbidden"].map(|name| (name.to_owned(), "a".to_owned()));
        let kept = kept(&Large::default(), "shop", places.into()).await;
        let got = |name: &str| kept[&(name.to_owned(), "a".to_owned())].as_ref().map(String::len).map_err(|missing| *missing);
        assert_eq!((got("there"), got("absent"), got("forbidden")), (Ok(MAX_BYTES), Err(Missing::Absent), Err(Missing::Unread)));
    }

    /// A contract that names more than is held costs no more than one that names as much, in memory and in requests.
    #[tokio::test]
    async fn reading_ends_when_enough_is_held() {
        let keys = |number: usize| ["a", "b"].map(|key| (format!("m{number:02}"), key.to_owned()));
        let places: BTreeSet<Place> = (0..MOST_MAPS).flat_map(keys).collect();
        let maps = Large::default();
        let kept = kept(&maps, "shop", places.clone()).await;
        assert_eq!(kept.values().flatten().map(String::len).sum::<usize>(), MOST_BYTES);
        assert_eq!(kept.keys().cloned().collect::<BTreeSet<_>>(), places);
        assert!(maps.0.load(Ordering::Relaxed) <= MOST_BYTES / MAX_BYTES / 2 + 1 + AT_ONCE);
    }
}
