//! Command line and environment.

use std::{path::PathBuf, time::Duration};

use clap::{Args as ClapArgs, Parser, Subcommand};
use entente_broker::amqp::SimpleValue;
use entente_core::filter::{Expression, parse};

use crate::produce::{PRODUCER, SEQUENCE};

const ENVIRONMENT: &str = "\
Every option can be given by the environment variable in brackets.
Where to connect to, and as whom, is in a binding: the mounted Secret of a Client.
  --binding /bindings/broker --entry orders
Without one, by environment. Credentials have no option, so that they never stand in a process list:
  ENTENTE_AMQP_URI       amqps://host:5671 or amqp://host:5672, with user:password@ if you like
  ENTENTE_USERNAME       user name; with ENTENTE_USERNAME_FILE, the file that holds it
  ENTENTE_PASSWORD       password; with ENTENTE_PASSWORD_FILE, the file that holds it
Files are read again before each connection, so rotated Secrets are taken up.
  ENTENTE_LOG            what to log, such as info or debug

Exit code: 0 all done, or stopped by a signal when no --count was given; 1 not all done;
2 wrong use.";

/// A small AMQP 1.0 producer and consumer.
#[derive(Debug, Parser)]
#[command(version, after_help = ENVIRONMENT, propagate_version = true)]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Send numbered messages and count what becomes of them.
    ///
    /// A message whose outcome is lost with a connection is sent again with the same
    /// message-id, so a receiver may see it twice and never not at all.
    #[command(after_help = ENVIRONMENT)]
    Produce(Produce),
    /// Receive, accept, and check the numbers for gaps and duplicates.
    ///
    /// Gaps are told per producer. If several consumers share a queue each sees gaps
    /// where the others were served; only their sum is complete then.
    #[command(after_help = ENVIRONMENT)]
    Consume(Consume),
    /// Send dead letters back to the queue where they died.
    ///
    /// Each is accepted only when its copy was: nothing is lost, however it ends. What was on its way then may be there
    /// twice, with the same message-id.
    #[command(after_help = ENVIRONMENT)]
    Redrive(Redrive),
}

/// Where to and how long.
#[derive(Debug, Clone, ClapArgs)]
pub struct Common {
    /// Queue name, for instance orders
    #[arg(long, env = "ENTENTE_QUEUE", conflicts_with = "address", required_unless_present_any = ["address", "binding"])]
    pub queue: Option<String>,

    /// Full AMQP address instead of a queue, for instance /exchanges/topic.orders, which is the Topic orders
    #[arg(long, env = "ENTENTE_ADDRESS")]
    pub address: Option<String>,

    /// Directory of a servicebinding.io Secret, such as that of a Client, with all that is needed to connect
    #[arg(long, env = "ENTENTE_BINDING", value_name = "DIR", conflicts_with_all = ["vhost", "ca_file"])]
    pub binding: Option<PathBuf>,

    /// Which of the binding's addresses, by the name of the Client's access entry; needed if there are several
    ///
    /// orders.dead is the address of the dead letters of the entry orders.
    #[arg(long, env = "ENTENTE_ENTRY", value_name = "NAME", requires = "binding", conflicts_with_all = ["queue", "address"])]
    pub entry: Option<String>,

    /// Virtual host; in Entente the Kubernetes namespace [default: the path of the URI, or /]
    #[arg(long, env = "ENTENTE_VHOST")]
    pub vhost: Option<String>,

    /// PEM file with the CA that issued the broker's certificate; needed for amqps
    #[arg(long, env = "ENTENTE_CA_FILE", value_name = "FILE")]
    pub ca_file: Option<PathBuf>,

    /// Stop after so many messages [default: go on until stopped]
    #[arg(long, env = "ENTENTE_COUNT", value_name = "N")]
    pub count: Option<u64>,

    /// Stop after so long in any case, for instance 30s, 5m
    #[arg(long, env = "ENTENTE_TIMEOUT", value_name = "DURATION", value_parser = duration)]
    pub timeout: Option<Duration>,

    /// How often to tell the progress
    #[arg(long, env = "ENTENTE_REPORT_INTERVAL", value_name = "DURATION", default_value = "1s", value_parser = positive_duration)]
    pub report_interval: Duration,

    /// Give up when the broker refuses (wrong password, no such queue) for so long
    #[arg(long, env = "ENTENTE_GIVE_UP_AFTER", value_name = "DURATION", default_value = "30s", value_parser = duration)]
    pub give_up_after: Duration,
}

/// Options of the producer.
#[derive(Debug, Clone, ClapArgs)]
pub struct Produce {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub common: Common,

    /// Subject of every message, for instance orders.nl.created; a Subscription can filter on its words
    #[arg(long, env = "ENTENTE_SUBJECT")]
    pub subject: Option<String>,

    /// Application property of every message; may be repeated. A Subscription can filter on it
    ///
    /// A whole number is sent as a long, true and false as a boolean, anything else as a string. The environment
    /// variable holds one in each line.
    #[arg(long = "property", env = "ENTENTE_PROPERTY", value_name = "NAME=VALUE", value_delimiter = '\n', value_parser = property)]
    pub properties: Vec<Property>,

    /// Messages per second [default: as fast as the broker accepts]
    #[arg(long, env = "ENTENTE_RATE", value_name = "PER_SECOND", value_parser = rate)]
    pub rate: Option<f64>,

    /// Bytes of payload per message
    #[arg(long, env = "ENTENTE_SIZE", value_name = "BYTES", default_value_t = 100)]
    pub size: usize,

    /// Messages that may be on their way without an outcome
    #[arg(long, env = "ENTENTE_WINDOW", value_name = "N", default_value_t = 200, value_parser = window)]
    pub window: usize,
}

/// Options of the consumer.
#[derive(Debug, Clone, ClapArgs)]
pub struct Consume {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub common: Common,

    /// Time spent on each message before it is accepted, for instance 50ms
    #[arg(long, env = "ENTENTE_DELAY", value_name = "DURATION", default_value = "0s", value_parser = duration)]
    pub delay: Duration,

    /// Messages the broker may send ahead
    #[arg(long, env = "ENTENTE_CREDIT", value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub credit: u32,

    /// End well only if no producer's numbers have gaps; for the only consumer of a queue
    #[arg(long, env = "ENTENTE_COMPLETE")]
    pub complete: bool,

    /// Reject so many messages first, as a service with a fault would; they become dead letters and are not counted
    #[arg(long, env = "ENTENTE_REJECT", value_name = "N", default_value_t = 0)]
    pub reject: u64,
}

/// Options of the redrive.
#[derive(Debug, Clone, ClapArgs)]
pub struct Redrive {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub common: Common,

    /// Only messages for which this is true, for instance "country = 'NL' AND amount > 100"
    #[arg(long, env = "ENTENTE_FILTER", value_name = "SQL", value_parser = filter)]
    pub filter: Option<Expression>,

    /// Messages per second [default: as fast as the broker accepts]
    #[arg(long, env = "ENTENTE_RATE", value_name = "PER_SECOND", value_parser = rate)]
    pub rate: Option<f64>,
}

fn filter(text: &str) -> Result<Expression, String> {
    parse(text).map_err(|error| format!("\n{}", error.render()))
}

/// An application property: name and value.
pub type Property = (String, SimpleValue);

/// `name=value`; the type follows from what the value looks like.
fn property(text: &str) -> Result<Property, String> {
    let (name, value) = text.split_once('=').ok_or("name=value is needed, such as country=NL")?;
    match name {
        "" => return Err("there is no name before the =".to_owned()),
        PRODUCER | SEQUENCE => return Err(format!("{name} is set by the program itself; take another name")),
        _ => {}
    }
    let value = match (value, value.parse::<i64>()) {
        ("true", _) => SimpleValue::Bool(true),
        ("false", _) => SimpleValue::Bool(false),
        (_, Ok(number)) => SimpleValue::Long(number),
        (_, Err(_)) => SimpleValue::String(value.to_owned()),
    };
    Ok((name.to_owned(), value))
}

fn window(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(n) if (1..=100_000).contains(&n) => Ok(n),
        _ => Err("a whole number from 1 to 100000 is needed".to_owned()),
    }
}

fn rate(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(rate) if rate.is_finite() && rate >= 0.001 => Ok(rate),
        _ => Err("a number of at least 0.001 is needed".to_owned()),
    }
}

fn positive_duration(text: &str) -> Result<Duration, String> {
    match duration(text)? {
        Duration::ZERO => Err("it must be longer than nothing".to_owned()),
        some => Ok(some),
    }
}

/// A number with ms, s, m or h; without a unit seconds.
fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let factor = match unit {
        "ms" => 0.001,
        "" | "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return Err(format!("{unit:?} is no unit; use ms, s, m or h")),
    };
    let number: f64 = number.parse().map_err(|_| "a number is needed, such as 1.5s or 200ms".to_owned())?;
    Duration::try_from_secs_f64(number * factor).map_err(|_| "that is too long".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_definition_is_sound() {
        Args::command().debug_assert();
    }

    #[test]
    fn every_option_has_an_environment_variable() {
        for command in Args::command().get_subcommands().filter(|c| c.get_name() != "help") {
            for arg in command.get_arguments() {
                assert!(arg.get_env().is_some(), "{} {}", command.get_name(), arg.get_id());
            }
        }
    }

    #[test]
    fn no_option_takes_a_credential() {
        for command in Args::command().get_subcommands() {
            for arg in command.get_arguments() {
                let id = arg.get_id().as_str();
                assert!(!["uri", "user", "pass", "secret"].iter().any(|word| id.contains(word)), "{id}");
            }
        }
    }

    #[test]
    fn properties_have_types() {
        let value = |text: &str| property(text).unwrap().1;
        assert_eq!(property("country=NL"), Ok(("country".to_owned(), SimpleValue::String("NL".to_owned()))));
        assert_eq!(value("amount=-20"), SimpleValue::Long(-20));
        assert_eq!((value("gift=true"), value("gift=false")), (SimpleValue::Bool(true), SimpleValue::Bool(false)));
        for text in ["True", "1.5", "", "a=b", "99999999999999999999"] {
            assert_eq!(value(&format!("x={text}")), SimpleValue::String(text.to_owned()));
        }
        for wrong in ["country", "=NL", "sequence=1", "producer=me"] {
            assert!(property(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn properties_are_repeated_or_lines_of_a_variable() {
        let parse = |properties: &[&str]| {
            let words = ["entente-apps", "produce", "--queue", "q"].iter().chain(properties).copied();
            let Command::Produce(produce) = Args::try_parse_from(words).unwrap().command else { panic!("not a producer") };
            produce.properties.into_iter().map(|(name, _)| name).collect::<Vec<_>>()
        };
        assert_eq!(parse(&["--property", "a=1,2", "--property", "b=2"]), ["a", "b"]);
        assert_eq!(parse(&["--property", "a=1\nb=2"]), ["a", "b"]);
        assert!(parse(&[]).is_empty());
    }

    #[test]
    fn a_binding_takes_the_place_of_everything_else() {
        let parse = |words: &[&str]| Args::try_parse_from(["entente-apps", "consume"].iter().chain(words));
        assert!(parse(&["--binding", "/b"]).is_ok());
        assert!(parse(&["--binding", "/b", "--entry", "orders"]).is_ok());
        for wrong in [
            &["--entry", "orders"][..],
            &["--queue", "q", "--entry", "orders"],
            &["--binding", "/b", "--entry", "orders", "--address", "/queues/q"],
            &["--binding", "/b", "--vhost", "shop"],
            &["--binding", "/b", "--ca-file", "/ca"],
        ] {
            assert!(parse(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn durations() {
        assert_eq!(duration("200ms"), Ok(Duration::from_millis(200)));
        assert_eq!(duration("1.5s"), Ok(Duration::from_millis(1500)));
        assert_eq!(duration("7"), Ok(Duration::from_secs(7)));
        assert_eq!(duration("2m"), Ok(Duration::from_mins(2)));
        assert_eq!(duration("1h"), Ok(Duration::from_hours(1)));
        for wrong in ["", "s", "1d", "-1s", "1e99h", "NaN", "99999999999999999999999h"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
        assert!(positive_duration("0s").is_err());
    }

    #[test]
    fn bounds() {
        assert!(window("0").is_err() && window("-1").is_err() && window("200") == Ok(200));
        assert!(rate("0").is_err() && rate("inf").is_err() && rate("NaN").is_err() && rate("0.5") == Ok(0.5));
    }
}
