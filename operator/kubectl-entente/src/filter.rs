//! `filter test`.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use entente_core::filter::{Field, Header, Message, Truth, Value, parse};
use jiff::Timestamp;
use serde::Deserialize;

use crate::Outcome;
use crate::arguments::Test;
use crate::output::{fail, plain, say};

/// Most bytes of a message. A filter does not see the body.
const MAX_BYTES: u64 = 1024 * 1024;

/// A message as given, with the names that AMQP has for its sections.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Sent {
    header: Header,
    properties: BTreeMap<Field, Value>,
    application_properties: BTreeMap<String, Value>,
}

pub fn test(arguments: &Test) -> Outcome {
    let expression = match parse(&arguments.expression) {
        Ok(expression) => expression,
        Err(error) => {
            eprintln!("invalid filter: {}", plain(&error.render()));
            return Outcome::Unusable;
        }
    };
    let Some(path) = &arguments.message else {
        return say("valid", Outcome::Yes);
    };
    let message = match read(path) {
        Ok(message) => message,
        Err(error) => return fail(&format!("{}: {error}", path.display())),
    };
    match expression.evaluate(&message, Timestamp::now()) {
        Truth::True => say("matches", Outcome::Yes),
        Truth::False => say("does not match", Outcome::No),
        Truth::Unknown => say("unknown: a property is missing or of another type; the message is not delivered", Outcome::No),
    }
}

fn read(path: &Path) -> Result<Message, String> {
    let mut text = String::new();
    let source: Box<dyn Read> = if path == Path::new("-") {
        Box::new(io::stdin())
    } else {
        Box::new(File::open(path).map_err(|error| error.to_string())?)
    };
    source.take(MAX_BYTES).read_to_string(&mut text).map_err(|error| error.to_string())?;
    let Sent { header, properties, application_properties } = serde_json::from_str(&text).map_err(|error| error.to_string())?;
    Ok(Message { header, properties, application: application_properties })
}
