//! From histories to figures. Reads the files, and nothing else.

use anyhow::Result;

use super::campaign::{Campaign, Round};
use super::check::{Rules, Verdict, check};
use super::clients::{consumer_file, producer_file};
use super::figures::{Case, Figures, Run};
use super::gaps::longest;
use super::history::{Entry, Event, Identity, read};
use super::plan::Plan;

/// Judges every workload.
pub fn judge(campaign: &Campaign, plans: &[Plan], rounds: &[Round], reconnections: u64) -> Result<Figures> {
    let mut figures = Figures::default();
    figures.runs.push(Run {
        nemesis: campaign.nemesis.to_string(),
        seed: campaign.seed,
        rounds: rounds.len() as u64,
        reconnections,
    });
    for plan in plans {
        let name = format!("{} {}", campaign.nemesis, plan.workload);
        figures.cases.insert(name, judge_one(campaign, plan, rounds)?);
    }
    Ok(figures)
}

fn judge_one(campaign: &Campaign, plan: &Plan, rounds: &[Round]) -> Result<Case> {
    let directory = &campaign.directory;
    let felt: Vec<&Round> = rounds.iter().filter(|round| round.led.contains(&plan.workload.to_string())).collect();
    let producers =
        plan.producers.iter().map(|producer| read(&producer_file(directory, *producer))).collect::<Result<Vec<_>>>()?;
    let mut case = Case { safe: plan.workload.is_safe(), rounds: rounds.len() as u64, ..Case::default() };
    for entries in &producers {
        case.send_gaps.extend(felt.iter().map(|round| longest(entries, Event::Ok, round.window())));
    }
    for destination in &plan.destinations {
        let files = (0..destination.consumers).map(|consumer| consumer_file(directory, destination, consumer));
        let consumers = files.map(|file| read(&file)).collect::<Result<Vec<_>>>()?;
        let not_before = u64::try_from(destination.not_before.as_micros())?;
        let rules =
            Rules { lane: destination.lane, not_before, ..Rules::of(|message: Identity| (destination.wanted)(message.sequence)) };
        let verdict = check(&producers, &consumers, &rules);
        tell(&destination.queue, &verdict, plan.workload.is_safe());
        case.counts.add(&verdict.counts());
        if !plan.late {
            let mut all: Vec<Entry> = consumers.into_iter().flatten().collect();
            all.sort_by_key(|entry| entry.at);
            case.receive_gaps.extend(felt.iter().map(|round| longest(&all, Event::Received, round.window())));
        }
    }
    case.restored.extend(felt.iter().map(|round| round.restored - round.from));
    Ok(case)
}

/// What must not be, by name: the history has the rest.
fn tell(queue: &str, verdict: &Verdict, safe: bool) {
    let Verdict { lost, phantom, corrupt, early, .. } = verdict;
    for (what, messages) in [("lost", lost), ("phantom", phantom), ("corrupt", corrupt), ("early", early)] {
        if let (Some(first), true) = (messages.first(), safe || what != "lost") {
            println!("{queue}: {} {what}, such as {first}", messages.len());
        }
    }
}
