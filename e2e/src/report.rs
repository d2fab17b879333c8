//! What a benchmark measured: a table for people, JSON for machines.

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

/// The figures of one benchmark, as `target/bench/<name>.json` has them.
#[derive(Debug)]
pub struct Report {
    name: &'static str,
    figures: Vec<Figure>,
}

/// One figure. `bar` is the goal as text; empty where there is none.
#[derive(Debug, Serialize, Deserialize)]
struct Figure {
    case: String,
    metric: String,
    unit: String,
    value: f64,
    bar: String,
}

impl Report {
    /// Nothing measured yet.
    pub fn new(name: &'static str) -> Self {
        Self { name, figures: Vec::new() }
    }

    /// Adds a figure and prints it.
    pub fn add(&mut self, case: &str, metric: &str, unit: &str, value: f64, bar: &str) {
        let value = (value * 100.0).round() / 100.0;
        println!("{case:<20} {metric:<16} {value:>10.2} {unit:<4} {bar}");
        self.figures.push(Figure { case: case.into(), metric: metric.into(), unit: unit.into(), value, bar: bar.into() });
    }

    /// Takes over what the file has of cases that were not measured this time.
    pub fn keep_other_cases(&mut self) {
        let known = std::fs::read_to_string(format!("target/bench/{}.json", self.name)).unwrap_or_default();
        let mut kept: Vec<Figure> = serde_json::from_str(&known).unwrap_or_default();
        kept.retain(|figure| self.figures.iter().all(|measured| measured.case != figure.case));
        self.figures.splice(0..0, kept);
    }

    /// Prints the whole table and writes the file.
    pub fn write(&self) -> Result<()> {
        println!("\n{:<20} {:<16} {:>10} {:<4} goal", "case", "metric", "value", "unit");
        for Figure { case, metric, unit, value, bar } in &self.figures {
            println!("{case:<20} {metric:<16} {value:>10.2} {unit:<4} {bar}");
        }
        let file = format!("target/bench/{}.json", self.name);
        std::fs::create_dir_all("target/bench")?;
        std::fs::write(&file, serde_json::to_string_pretty(&self.figures)? + "\n")
            .with_context(|| format!("{file} cannot be written"))?;
        println!("\n{file}");
        Ok(())
    }
}
