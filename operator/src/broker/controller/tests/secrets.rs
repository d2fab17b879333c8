//! Passwords and certificates.

use entente_core::cluster::secrets as contents;
use serde_json::json;

use super::world::{BROKER, CORE, SET, World};
use crate::broker::controller::*;

#[tokio::test]
async fn i2_a_secret_in_the_way_is_a_conflict_and_stays() {
    for name in ["main-admin", "main-cookie", "main-ca", "main-tls"] {
        let world = World::new(&json!({}));
        let path = format!("{CORE}/secrets/{name}");
        world.api.put(&path, json!({"metadata": {"name": name}, "data": {"password": "dGhlaXJz"}}));
        assert_eq!(world.look().await, Outcome { again: Some(LATER) });
        let (status, reason, message) = world.ready();
        assert_eq!((status.as_str(), reason.as_str()), ("False", "Conflict"));
        assert!(message.contains(name), "{message}");
        assert_eq!(world.api.get(&path).unwrap()["data"], json!({"password": "dGhlaXJz"}));
        assert!(world.api.get(SET).is_none(), "no node without its secrets");
    }
}

#[tokio::test]
async fn a_password_is_drawn_once_and_anew_only_without_a_secret() {
    let world = World::formed(&json!({})).await;
    let password = |world: &World| contents::text(&world.secret("main-admin"), "password").unwrap();
    let cookie = |world: &World| contents::text(&world.secret("main-cookie"), "cookie").unwrap();
    let (first, first_cookie) = (password(&world), cookie(&world));
    assert!(first.len() >= 32 && first_cookie.len() >= 32);
    world.look().await;
    assert_eq!((password(&world), cookie(&world)), (first.clone(), first_cookie));
    let template = |world: &World| world.api.get(SET).unwrap()["spec"]["template"].clone();
    let before = template(&world);
    world.api.remove(&format!("{CORE}/secrets/main-admin"));
    world.look().await;
    assert_ne!(password(&world), first);
    assert_ne!(template(&world), before, "nodes must restart to take it up");
}

#[tokio::test]
async fn a_changed_password_is_brought_into_what_rabbitmq_reads() {
    let world = World::formed(&json!({})).await;
    world.api.change(&format!("{CORE}/secrets/main-admin"), |secret| secret["data"]["password"] = json!("bmV3"));
    world.look().await;
    let secret = world.secret("main-admin");
    assert!(contents::text(&secret, "admin.conf").unwrap().contains("default_pass = new\n"));
    assert_eq!(contents::text(&secret, "password").as_deref(), Some("new"));
}

#[tokio::test]
async fn a_lost_certificate_comes_back_under_the_same_authority() {
    let world = World::formed(&json!({})).await;
    let authority = contents::text(&world.secret("main-ca"), "ca.crt");
    let set = world.api.get(SET).unwrap();
    world.api.remove(&format!("{CORE}/secrets/main-tls"));
    world.look().await;
    assert_eq!(contents::text(&world.secret("main-tls"), "ca.crt"), authority);
    assert_eq!(world.api.get(SET).unwrap(), set, "a certificate restarts nobody");
    world.api.remove(&format!("{CORE}/secrets/main-ca"));
    world.look().await;
    let renewed = contents::text(&world.secret("main-ca"), "ca.crt");
    assert_ne!(renewed, authority);
    assert_eq!(contents::text(&world.secret("main-tls"), "ca.crt"), renewed);
}

#[tokio::test]
async fn an_own_certificate_must_be_there() {
    let world = World::new(&json!({"tls": {"mode": "Secret", "secretRef": {"name": "mine"}}}));
    world.look().await;
    let (_, reason, message) = world.ready();
    assert_eq!(reason, "Invalid");
    assert!(message.contains("mine") && message.contains("tls.key"), "{message}");
    let data = json!({"tls.crt": "eA==", "tls.key": "eA==", "ca.crt": "eA=="});
    world.api.put(&format!("{CORE}/secrets/mine"), json!({"metadata": {"name": "mine"}, "data": data}));
    world.look().await;
    assert_eq!(world.ready().1, "Starting");
    assert!(world.api.get(&format!("{CORE}/secrets/main-tls")).is_none());
}

#[tokio::test]
async fn i8_no_credential_gets_into_status_or_events() {
    let world = World::formed(&json!({})).await;
    let password = contents::text(&world.secret("main-admin"), "password").unwrap();
    let broker = world.api.get(BROKER).unwrap().to_string();
    let set = world.api.get(SET).unwrap().to_string();
    assert!(!broker.contains(&password) && !set.contains(&password));
}
