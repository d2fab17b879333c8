//! Tests of the Secret's form.

use super::*;

const OWNER: Owner<'static> = Owner { namespace: "shop", name: "web", uid: "u1" };

fn written() -> Record {
    Record {
        username: "shop.web.3".into(),
        serial: 3,
        password: Password::new("sesame".into()),
        rotated_at: Some("2026-01-02T03:04:05Z".parse().unwrap()),
        request: Some("monday".into()),
        previous: Some("shop.web.2".into()),
    }
}

fn endpoint() -> Endpoint {
    Endpoint { host: "main.messaging.svc.cluster.local".into(), port: 5671, tls: true, ca: Some("PEM".into()) }
}

fn whole() -> Secret {
    let addresses = [("address.orders", "/queues/orders"), ("address.orders.dead", "/queues/orders.dead")];
    let addresses = addresses.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
    secret(OWNER, "web-binding", &written(), &endpoint(), "shop", &addresses)
}

fn change(secret: &mut Secret, key: &str, value: &str) {
    secret.data.as_mut().unwrap().insert(key.into(), ByteString(value.into()));
}

#[test]
fn it_holds_what_a_workload_needs() {
    let data: BTreeMap<String, String> =
        whole().data.unwrap().into_iter().map(|(key, value)| (key, String::from_utf8(value.0).unwrap())).collect();
    let expected = [
        ("address.orders", "/queues/orders"),
        ("address.orders.dead", "/queues/orders.dead"),
        ("ca.crt", "PEM"),
        ("host", "main.messaging.svc.cluster.local"),
        ("hostname", "vhost:shop"),
        ("password", "sesame"),
        ("port", "5671"),
        ("provider", "entente"),
        ("type", "amqp10"),
        ("uri", "amqps://shop.web.3:sesame@main.messaging.svc.cluster.local:5671/?hostname=vhost:shop"),
        ("username", "shop.web.3"),
        ("virtual-host", "shop"),
    ];
    assert_eq!(data, expected.map(|(key, value)| (key.to_owned(), value.to_owned())).into());
    assert_eq!(whole().type_.as_deref(), Some("servicebinding.io/amqp10"));
}

#[test]
fn without_tls_it_says_so() {
    let plain = Endpoint { port: 5672, tls: false, ca: None, ..endpoint() };
    let secret = secret(OWNER, "web-binding", &written(), &plain, "shop", &BTreeMap::new());
    let data = secret.data.unwrap();
    assert!(data["uri"].0.starts_with(b"amqp://shop.web.3:"));
    assert!(!data.contains_key("ca.crt"));
}

#[test]
fn what_was_written_is_read() {
    assert_eq!(record(&whole(), OWNER), Some(written()));
    let bare = Record { request: None, previous: None, ..written() };
    let secret = secret(OWNER, "web-binding", &bare, &endpoint(), "shop", &BTreeMap::new());
    assert_eq!(record(&secret, OWNER), Some(bare));
}

#[test]
fn credentials_that_somebody_changed_are_not_relied_on() {
    for (key, value) in [("password", "weak"), ("username", "shop.web.2"), ("username", "guest"), ("password", "")] {
        let mut secret = whole();
        change(&mut secret, key, value);
        assert_eq!(record(&secret, OWNER), None, "{key}");
    }
    let mut unsigned = whole();
    unsigned.metadata.annotations = None;
    assert_eq!(record(&unsigned, OWNER), None);
    // Another Client's credentials, however well they are written.
    assert_eq!(record(&whole(), Owner { name: "other", ..OWNER }), None);
}

#[test]
fn what_else_was_changed_is_seen_and_does_not_matter_to_the_credentials() {
    for key in ["host", "address.orders", "extra"] {
        let mut secret = whole();
        change(&mut secret, key, "x");
        assert!(!is_as_wanted(&secret, &whole()), "{key}");
        assert_eq!(record(&secret, OWNER), Some(written()));
    }
    let mut secret = whole();
    secret.metadata.annotations.as_mut().unwrap().insert(ROTATED_AT_ANNOTATION.into(), "never".into());
    assert!(!is_as_wanted(&secret, &whole()));
    assert_eq!(record(&secret, OWNER).unwrap().rotated_at, None);
    let mut labelled = whole();
    labelled.metadata.labels = None;
    assert!(!is_as_wanted(&labelled, &whole()));
    // What others add beside is theirs.
    let mut secret = whole();
    secret.metadata.annotations.as_mut().unwrap().insert("other".into(), "x".into());
    secret.metadata.labels.as_mut().unwrap().insert("other".into(), "x".into());
    assert!(is_as_wanted(&secret, &whole()));
}

#[test]
fn i2_ownership_is_by_uid() {
    assert!(is_owned(&whole().metadata, OWNER));
    assert!(!is_owned(&whole().metadata, Owner { uid: "u2", ..OWNER }));
    assert!(!is_owned(&ObjectMeta::default(), OWNER));
}

#[test]
fn i8_a_record_does_not_show_its_password() {
    assert!(!format!("{:?}", written()).contains("sesame"));
}
