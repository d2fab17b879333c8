//! Tests of the status.

use serde_json::json;

use super::super::access::Unusable;
use super::super::password::Password;
use super::*;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

fn client() -> Client {
    let mut client = Client::new("web", serde_json::from_value(json!({})).unwrap());
    client.metadata.namespace = Some("shop".into());
    client.metadata.generation = Some(3);
    client
}

fn broker() -> Broker {
    let mut broker = Broker::new("main", serde_json::from_value(json!({})).unwrap());
    broker.metadata.namespace = Some("messaging".into());
    broker
}

fn record() -> Record {
    Record {
        username: "shop.web.2".into(),
        serial: 2,
        password: Password::new("sesame".into()),
        rotated_at: Some(at(0)),
        request: Some("monday".into()),
        previous: Some("shop.web.1".into()),
    }
}

fn kept(until: i64) -> Kept {
    Kept { rotated_at: at(0), previous: Some(("shop.web.1".into(), at(until))), waiting: false, look_again: None }
}

fn visit(client: &mut Client, outcome: &Outcome, kept: Option<&Kept>, second: i64) -> ClientStatus {
    let (broker, record) = (broker(), record());
    let facts = Facts {
        broker: &broker,
        virtual_host: "shop",
        binding: kept.map(|kept| ("web-binding", &record, kept)),
        contracts: None,
    };
    let new = status(client, outcome, Some(&facts), at(second));
    client.status = Some(new.clone());
    new
}

#[test]
fn a_client_that_is_ready_says_where_to_look() {
    let status = visit(&mut client(), &Outcome::Ready, Some(&kept(100)), 0);
    assert!(conditions::is_true(&status.conditions, types::READY));
    assert_eq!(status.observed_generation, Some(3));
    assert_eq!(status.broker.as_deref(), Some("messaging/main"));
    assert_eq!(status.virtual_host.as_deref(), Some("shop"));
    assert_eq!(status.binding.unwrap().name, "web-binding");
    assert_eq!(status.username.as_deref(), Some("shop.web.2"));
    assert_eq!(status.rotation_requested.as_deref(), Some("monday"));
    assert_eq!(status.previous.unwrap(), Previous { username: "shop.web.1".into(), until: Time(at(100)) });
}

#[test]
fn i6_a_second_visit_changes_nothing() {
    let mut client = client();
    let first = visit(&mut client, &Outcome::Ready, Some(&kept(100)), 0);
    assert_eq!(visit(&mut client, &Outcome::Ready, Some(&kept(101)), 60), first);
}

#[test]
fn i8_the_password_is_not_in_the_status() {
    let status = visit(&mut client(), &Outcome::Ready, Some(&kept(100)), 0);
    assert!(!serde_json::to_string(&status).unwrap().contains("sesame"));
}

#[test]
fn i10_what_could_not_be_seen_keeps_what_was_known() {
    let mut client = client();
    visit(&mut client, &Outcome::Ready, Some(&kept(100)), 0);
    let unseen = Outcome::Unseen { reason: reasons::BROKER_UNREACHABLE, message: "timed out".into() };
    let status = visit(&mut client, &unseen, None, 1);
    assert_eq!(conditions::get(&status.conditions, types::READY).unwrap().status, "Unknown");
    assert_eq!(status.username.as_deref(), Some("shop.web.2"));
}

#[test]
fn a_user_that_is_gone_is_no_longer_named() {
    let mut client = client();
    visit(&mut client, &Outcome::Ready, Some(&kept(100)), 0);
    let alone = Kept { previous: None, ..kept(0) };
    assert_eq!(visit(&mut client, &Outcome::Ready, Some(&alone), 200).previous, None);
}

#[test]
fn a_rotation_that_waits_is_told() {
    let waiting = Kept { waiting: true, ..kept(100) };
    let status = visit(&mut client(), &Outcome::Ready, Some(&waiting), 0);
    let message = &conditions::get(&status.conditions, types::READY).unwrap().message;
    assert!(message.contains("waits until shop.web.1 has had its overlap"), "{message}");
}

#[test]
fn a_pause_is_told_and_ends() {
    let mut client = client();
    visit(&mut client, &Outcome::Ready, Some(&kept(100)), 0);
    let paused = visit(&mut client, &Outcome::Paused, None, 1);
    assert_eq!(conditions::get(&paused.conditions, types::RECONCILING).unwrap().reason, reasons::PAUSED);
    assert!(conditions::is_true(&paused.conditions, types::READY));
    let resumed = visit(&mut client, &Outcome::Ready, Some(&kept(100)), 2);
    assert!(conditions::get(&resumed.conditions, types::RECONCILING).is_none());
}

#[test]
fn what_needs_a_hand_is_told_before_what_only_waits() {
    let unusable = Unusable { reason: reasons::ACCESS_NOT_GRANTED, message: "access a: no".into() };
    let mut summary = Summary { unusable: vec![unusable], missing: vec!["the queue q".into()], ..Summary::default() };
    assert!(matches!(outcome(&summary), Outcome::NotReady { reason: reasons::ACCESS_NOT_GRANTED, .. }));
    summary.unusable.clear();
    assert!(matches!(outcome(&summary), Outcome::NotReady { reason: reasons::PROGRESSING, .. }));
    summary.missing.clear();
    assert_eq!(outcome(&summary), Outcome::Ready);
}
