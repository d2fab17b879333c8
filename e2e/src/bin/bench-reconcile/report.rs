//! What was measured: a table for people, JSON for machines.

use anyhow::{Context, Result};
use serde::Serialize;

const FILE: &str = "target/bench/reconcile.json";

#[derive(Debug, Default)]
pub struct Report(Vec<Figure>);

/// One figure. `bar` is the goal as text; empty where there is none.
#[derive(Debug, Serialize)]
struct Figure {
    case: String,
    metric: String,
    unit: String,
    value: f64,
    bar: String,
}

impl Report {
    pub fn add(&mut self, case: &str, metric: &str, unit: &str, value: f64, bar: &str) {
        let value = (value * 100.0).round() / 100.0;
        println!("{case:<20} {metric:<16} {value:>10.2} {unit:<4} {bar}");
        self.0.push(Figure { case: case.into(), metric: metric.into(), unit: unit.into(), value, bar: bar.into() });
    }

    pub fn write(&self) -> Result<()> {
        println!("\n{:<20} {:<16} {:>10} {:<4} goal", "case", "metric", "value", "unit");
        for Figure { case, metric, unit, value, bar } in &self.0 {
            println!("{case:<20} {metric:<16} {value:>10.2} {unit:<4} {bar}");
        }
        std::fs::create_dir_all("target/bench")?;
        std::fs::write(FILE, serde_json::to_string_pretty(&self.0)? + "\n")
            .with_context(|| format!("{FILE} cannot be written"))?;
        println!("\n{FILE}");
        Ok(())
    }
}
