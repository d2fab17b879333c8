//! `contract check`.

use entente_core::contract::{Comparison, Format, Report, check as compare, parse};
use serde::Serialize;

use crate::Outcome;
use crate::arguments::{Check, Output};
use crate::files::{self, Pair};
use crate::output;

/// What is said of one pair.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Checked {
    /// Its name.
    pub path: String,
    /// Its format; nothing where that is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub format: Option<Format>,
    /// What became of it.
    #[serde(flatten)]
    pub state: State,
}

#[derive(Debug, Serialize)]
#[serde(tag = "state", rename_all = "camelCase")]
pub enum State {
    /// In both: compared.
    Compared { compatible: bool, report: Report },
    /// In the new version alone: nobody relies on it yet.
    Added { compatible: bool },
    /// In the old version alone: who relies on it has nothing left.
    Removed { compatible: bool, mend: &'static str },
    /// Not to be used.
    Unusable { error: String },
}

impl State {
    fn outcome(&self) -> Outcome {
        match self {
            Self::Compared { compatible, .. } | Self::Added { compatible } | Self::Removed { compatible, .. } => {
                if *compatible {
                    Outcome::Yes
                } else {
                    Outcome::No
                }
            }
            Self::Unusable { .. } => Outcome::Unusable,
        }
    }
}

/// All that is said.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    /// Whether every pair is compatible.
    pub compatible: bool,
    /// In which direction.
    pub direction: entente_core::contract::Direction,
    /// Under which policy.
    pub policy: entente_core::contract::Policy,
    /// The pairs, by name.
    pub contracts: Vec<Checked>,
}

pub fn check(arguments: &Check) -> Outcome {
    let pairs = match files::pairs(&arguments.old, &arguments.new, arguments.format.is_some()) {
        Ok(pairs) => pairs,
        Err(error) => return output::fail(&error),
    };
    let contracts: Vec<Checked> = pairs.iter().map(|pair| checked(pair, arguments)).collect();
    let outcome = contracts.iter().map(|contract| contract.state.outcome()).max().unwrap_or(Outcome::Yes);
    let compatible = outcome == Outcome::Yes;
    let summary = Summary { compatible, direction: arguments.direction.into(), policy: arguments.policy.into(), contracts };
    let text = match arguments.output {
        Output::Human => Ok(output::human(&summary)),
        Output::Json => serde_json::to_string_pretty(&summary),
    };
    text.map_or_else(|error| output::fail(&error.to_string()), |text| output::say(&text, outcome))
}

fn checked(pair: &Pair, arguments: &Check) -> Checked {
    let format = arguments.format.map(Format::from).or_else(|| Format::of_file(&pair.name));
    let state = match format {
        Some(format) => compared(pair, format, arguments).unwrap_or_else(|error| State::Unusable { error }),
        None => {
            State::Unusable { error: "the name does not tell the format (.json, .avsc, .proto): say it with --format".into() }
        }
    };
    Checked { path: pair.name.clone(), format, state }
}

fn compared(pair: &Pair, format: Format, arguments: &Check) -> Result<State, String> {
    match (&pair.old, &pair.new) {
        (Some(old), Some(new)) => {
            let how = Comparison {
                format,
                direction: arguments.direction.into(),
                policy: arguments.policy.into(),
                json_encoding: arguments.json_encoding,
            };
            let (old, new) = (files::read(old, format)?, files::read(new, format)?);
            let report = compare(&old, &new, how).map_err(|error| error.to_string())?;
            Ok(State::Compared { compatible: report.compatible(), report })
        }
        (None, Some(new)) => {
            parse(&files::read(new, format)?, format).map_err(|error| error.to_string())?;
            Ok(State::Added { compatible: true })
        }
        _ => Ok(State::Removed {
            compatible: false,
            mend: "keep the file: who relies on the contract has nothing left; a contract ends by deprecation",
        }),
    }
}
