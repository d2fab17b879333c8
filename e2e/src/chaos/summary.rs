//! The figures of each nemesis over all of its workloads, as a table in Markdown: what docs/failover.md shows.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::figures::{Case, Figures};
use crate::ranks::ranks;

/// One line for each nemesis. Times are p50 / p99 / max in seconds. Workloads that must lose something are left out.
pub fn by_nemesis(figures: &Figures) -> String {
    let mut rounds: BTreeMap<&str, u64> = BTreeMap::new();
    for run in &figures.runs {
        *rounds.entry(&run.nemesis).or_default() += run.rounds;
    }
    let mut text =
        "| Failure | Rounds | Acknowledged | Lost | Duplicated | Send gap, s | Receive gap, s | All copies back, s |\n\
                    | --- | --- | --- | --- | --- | --- | --- | --- |\n"
            .to_owned();
    for (nemesis, rounds) in rounds {
        let mut all = Case::default();
        let own = |name: &str| name.split_once(' ').is_some_and(|(own, _)| own == nemesis);
        for (_, case) in figures.cases.iter().filter(|(name, case)| own(name) && case.safe) {
            all.add(case.clone());
        }
        let counts = all.counts;
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "| {nemesis} | {rounds} | {} | {} | {} | {} | {} | {} |",
            thousands(counts.acked),
            counts.lost,
            counts.duplicated,
            quantiles(&all.send_gaps, 2),
            quantiles(&all.receive_gaps, 2),
            quantiles(&all.restored, 1),
        );
    }
    text
}

/// `1234567` as `1,234,567`.
fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let groups: Vec<&str> = digits.as_bytes().rchunks(3).rev().filter_map(|group| std::str::from_utf8(group).ok()).collect();
    groups.join(",")
}

#[allow(clippy::cast_precision_loss)]
fn quantiles(times: &[u64], decimals: usize) -> String {
    let told = ranks(times, [0.5, 0.99, 1.0]);
    let told = told.map(|ranks| ranks.map(|time| format!("{:.decimals$}", time as f64 / 1_000_000.0)).join(" / "));
    told.unwrap_or_else(|| "–".to_owned())
}

#[cfg(test)]
mod tests {
    use super::super::check::Counts;
    use super::super::figures::Run;
    use super::*;

    fn case(safe: bool, acked: u64, gap: u64) -> Case {
        let counts = Counts { acked, duplicated: 1, ..Counts::default() };
        Case { safe, rounds: 2, counts, send_gaps: vec![gap], receive_gaps: Vec::new(), restored: vec![9_900_000] }
    }

    #[test]
    fn workloads_of_one_nemesis_are_one_line_and_those_of_another_are_not_in_it() {
        let run = |nemesis: &str| Run { nemesis: nemesis.to_owned(), seed: 1, rounds: 2, reconnections: 0 };
        let cases = [
            ("kill quorum", case(true, 1_234_000, 300_000)),
            ("kill topic", case(true, 567, 1_500_000)),
            ("kill classic", case(false, 9, 9_000_000)),
            ("kill-two quorum", case(true, 20, 8_000_000)),
        ];
        let cases = cases.into_iter().map(|(name, case)| (name.to_owned(), case)).collect();
        let figures = Figures { runs: vec![run("kill"), run("kill"), run("kill-two")], cases };
        let table = by_nemesis(&figures);
        assert!(table.contains("| kill | 4 | 1,234,567 | 0 | 2 | 0.30 / 1.50 / 1.50 | – | 9.9 / 9.9 / 9.9 |\n"), "{table}");
        assert!(table.contains("| kill-two | 2 | 20 | 0 | 1 | 8.00 / 8.00 / 8.00 | – |"), "{table}");
    }

    #[test]
    fn digits_are_grouped_in_threes() {
        assert_eq!([0, 999, 1_000, 12_345_678].map(thousands), ["0", "999", "1,000", "12,345,678"]);
    }
}
