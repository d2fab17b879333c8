//! The program without a broker: wrong use, peers that are gone, and secrets.

// The exception clippy.toml makes for tests does not reach their helpers.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic)]

mod common;

use std::{
    net::{TcpListener, TcpStream},
    thread,
    time::Duration,
};

use common::{apps, run, terminate, wait};

const LIMIT: Duration = Duration::from_secs(20);

/// A peer that accepts and says nothing.
fn hanging_peer() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let uri = format!("amqp://user:s3cret@{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        let held: Vec<TcpStream> = listener.incoming().flatten().collect();
        drop(held);
    });
    uri
}

#[test]
fn help_names_the_environment() {
    for command in ["produce", "consume"] {
        let ended = run(&[command, "--help"], &[], LIMIT);
        assert_eq!(ended.code, Some(0));
        for word in ["ENTENTE_AMQP_URI", "ENTENTE_PASSWORD_FILE", "ENTENTE_CA_FILE", "--count", "Exit code"] {
            assert!(ended.stdout.contains(word), "{command}: {word}");
        }
    }
}

#[test]
fn wrong_use_is_code_2_with_a_word_on_what_to_do() {
    let no_uri = run(&["produce", "--queue", "q"], &[], LIMIT);
    assert_eq!(no_uri.code, Some(2));
    assert!(no_uri.stderr.contains("set ENTENTE_AMQP_URI"), "{}", no_uri.stderr);

    let no_queue = run(&["consume"], &[("ENTENTE_AMQP_URI", "amqp://u:p@h")], LIMIT);
    assert_eq!(no_queue.code, Some(2));
    assert!(no_queue.stderr.contains("--queue"), "{}", no_queue.stderr);

    let both = run(&["consume", "--queue", "q", "--address", "/queues/q"], &[], LIMIT);
    assert_eq!(both.code, Some(2));
}

#[test]
fn nobody_there_until_the_time_is_up() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let uri = format!("amqp://user:s3cret@{}", listener.local_addr().unwrap());
    drop(listener);
    let environment = [("ENTENTE_AMQP_URI", uri.as_str()), ("ENTENTE_QUEUE", "q"), ("ENTENTE_COUNT", "1")];
    let ended = run(&["consume", "--timeout", "1s"], &environment, LIMIT);
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    assert_eq!(ended.number("received"), 0);
    assert!(ended.stderr.contains("Connection refused"), "{}", ended.stderr);
    assert!(!ended.stderr.contains("s3cret") && !ended.stdout.contains("s3cret"));
}

#[test]
fn a_message_that_never_got_an_outcome_is_unknown() {
    let uri = hanging_peer();
    let environment = [("ENTENTE_AMQP_URI", uri.as_str())];
    let ended = run(&["produce", "--queue", "q", "--count", "1", "--timeout", "1s"], &environment, LIMIT);
    assert_eq!(ended.code, Some(1));
    assert_eq!((ended.number("sent"), ended.number("accepted"), ended.number("unknown")), (1, 0, 1));
    assert!(!ended.stderr.contains("s3cret"));
}

#[test]
fn a_signal_ends_it_even_while_the_peer_hangs() {
    let uri = hanging_peer();
    let environment = [("ENTENTE_AMQP_URI", uri.as_str())];
    let child = apps(&["consume", "--queue", "q", "--count", "1"], &environment).spawn().unwrap();
    thread::sleep(Duration::from_millis(500));
    terminate(&child);
    let ended = wait(child, Duration::from_secs(3));
    assert_eq!(ended.code, Some(1));
    assert_eq!(ended.number("received"), 0);
}
