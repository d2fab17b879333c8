//! Dead letters back to their queue.

use anyhow::{Context, Result, bail};
use entente_broker::amqp::address;
use entente_broker::amqp::redrive::{Progress as Done, Redrive, Target, redrive};
use serde::Serialize;

use crate::{
    args::{self, Common},
    binding::Binding,
    end::End,
    progress::{Progress, per_second, print_result, seconds},
    target::{self, Direction},
};

/// The last line.
#[derive(Debug, Serialize)]
struct Summary {
    moved: u64,
    stay: u64,
    seconds: f64,
    per_second: f64,
}

/// Moves; true if the dead-letter queue was seen through, or as many were moved as were asked for.
pub async fn run(args: args::Redrive) -> Result<bool> {
    let to = goal(&args.common)?;
    let target = target::resolve(&dead_letters(&args.common)?, Direction::Receive)?;
    let from = address::queue_name(&target.address)
        .with_context(|| format!("{} is no address of a queue; dead letters are in one", target.address))?;
    let plan = Redrive { to, rate: args.rate, limit: args.common.count, filter: args.filter, ..Redrive::new(from) };
    let mut end = End::new(args.common.timeout)?;
    let mut clock = Progress::new(args.common.report_interval);
    let mut done = Done::default();
    let options = (target.source)()?;
    let moving = redrive(&options, &plan, |now| {
        done = *now;
        if let Some(rate) = clock.lap(now.moved) {
            tracing::info!(moved = now.moved, stay = now.held(), per_second = rate, "redriving");
        }
    });
    let ended = tokio::select! {
        ended = moving => Some(ended),
        why = end.reached() => {
            tracing::info!(reason = ?why, "stopping; what was on its way may be there twice");
            None
        }
    };
    let well = match ended {
        Some(Ok(report)) => {
            tracing::info!("{report}");
            done = report.progress;
            true
        }
        Some(Err(failed)) => {
            tracing::error!("{failed}");
            done = failed.progress;
            false
        }
        None => false,
    };
    let time = clock.elapsed();
    print_result(&Summary {
        moved: done.moved,
        stay: done.held(),
        seconds: seconds(time),
        per_second: per_second(done.moved, time),
    })?;
    Ok(well)
}

/// The same place, but its dead letters.
fn dead_letters(common: &Common) -> Result<Common> {
    let mut dead = common.clone();
    match (&mut dead.queue, &mut dead.entry, &dead.address, &dead.binding) {
        (Some(queue), ..) => queue.push_str(".dead"),
        (None, Some(entry), ..) => entry.push_str(".dead"),
        (None, None, None, Some(_)) => bail!("say by --entry whose dead letters"),
        (None, None, Some(_), _) => bail!("give --queue or --entry rather than --address: a redrive goes between two"),
        (None, None, None, None) => bail!("give --binding and --entry, or --queue"),
    }
    Ok(dead)
}

/// With a binding it goes where the Client may send; otherwise to the queue that the broker noted.
fn goal(common: &Common) -> Result<Target> {
    let Some(directory) = common.binding.clone() else { return Ok(Target::Source) };
    Ok(Target::Address(Binding::new(directory).address(common.entry.as_deref(), Direction::Send)?))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::args::{Args, Command};

    fn common(arguments: &[&str]) -> Common {
        let all = ["entente-apps", "redrive"].iter().chain(arguments);
        match Args::try_parse_from(all).unwrap().command {
            Command::Redrive(args) => args.common,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn it_takes_from_the_dead_letters_of_what_was_named() {
        let queue = dead_letters(&common(&["--queue", "orders"])).unwrap();
        assert_eq!(queue.queue.as_deref(), Some("orders.dead"));
        let entry = dead_letters(&common(&["--binding", "/b", "--entry", "orders"])).unwrap();
        assert_eq!(entry.entry.as_deref(), Some("orders.dead"));
    }

    #[test]
    fn without_a_name_it_says_what_to_give() {
        let error = dead_letters(&common(&["--binding", "/b"])).unwrap_err().to_string();
        assert!(error.contains("--entry"), "{error}");
        let error = dead_letters(&common(&["--address", "/queues/a"])).unwrap_err().to_string();
        assert!(error.contains("--queue"), "{error}");
    }

    #[test]
    fn a_wrong_filter_is_shown_with_its_place() {
        let error = Args::try_parse_from(["entente-apps", "redrive", "--queue", "q", "--filter", "amount => 3"]).unwrap_err();
        assert!(error.to_string().contains('^'), "{error}");
    }
}
