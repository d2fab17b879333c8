//! Brokers that Entente does not run.

use serde_json::json;

use super::world::{BROKER, World};
use crate::broker::controller::*;

#[tokio::test]
async fn of_an_external_broker_nothing_is_made() {
    let world = World::new(&json!({"external": {"uri": "https://rabbit.example:15671", "secretRef": {"name": "s"}}}));
    world.look().await;
    assert_eq!(world.ready().1, reasons::BROKER_UNREACHABLE);
    world.answer([true; 3]);
    assert_eq!(world.look().await, Outcome { again: Some(LATER) });
    assert_eq!(world.ready().0, "True", "{:?}", world.ready());
    let written = world.api.take_writes();
    let is_word = |write: &String| *write == format!("PATCH {BROKER}/status") || write.ends_with("/events");
    assert!(written.iter().all(is_word), "{written:?}");
    // I6
    world.look().await;
    assert!(world.api.take_writes().is_empty());
    // An answer that does not come is a hiccup, several are a fact, and the reason stays while it is left alone.
    let silent = |why: &str| *world.probe.seen.lock().unwrap() = Err(why.to_owned());
    silent("refused");
    assert_eq!(world.look().await, Outcome { again: Some(SOON) });
    assert_eq!(world.ready().0, "True");
    silent("");
    world.look().await;
    world.look().await;
    assert!(world.ready().2.contains("(refused)"), "{:?}", world.ready());
    world.api.take_writes();
    world.look().await;
    assert!(world.api.take_writes().is_empty());
}

#[tokio::test]
async fn an_external_broker_with_settings_of_nodes_is_refused() {
    let world =
        World::new(&json!({"replicas": 1, "external": {"uri": "https://rabbit.example:15671", "secretRef": {"name": "s"}}}));
    assert_eq!(world.look().await, Outcome { again: None });
    let (_, reason, message) = world.ready();
    assert!(reason == reasons::INVALID && message.contains("replicas"), "{message}");
}
