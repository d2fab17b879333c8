//! One step: what was seen is taken in, then it is decided.

use std::cmp::Reverse;

use jiff::Timestamp;

use super::config::Config;
use super::decision::{Decision, HeldBack, Inputs, Objective};
use super::downstream;
use super::ledger::Change;
use super::need::{self, Need, Situation};
use super::number;
use super::sample::{Reading, Sample, Seen, Target};
use super::schedule::Schedule;
use super::service;
use super::state::{Last, State};

/// A longer time between two steps is a clock that jumped or a process that slept, and counts as none.
const LONGEST_STEP: i64 = 60_000;
/// Rates of change are per minute.
const MINUTE: i64 = 60_000;
/// Replicas have to be the same for so long before what they serve counts.
const STEADY: i64 = 4_000;
/// A zero seen so soon after one was decided is ours, however late it is seen.
const OWN_ZERO: i64 = 60_000;
/// A need beyond the replicas by no more than this share is no reason to change. If it lasts, the backlog tells.
const DEAD_BAND: f64 = 0.1;

/// Decides how many replicas the target should have.
///
/// Total: there is no error. `now` is the wall clock, which may jump.
pub fn step(config: &Config, mut state: State, sample: &Sample, now: Timestamp) -> (State, Decision) {
    let Sample { reading, target } = sample;
    let spec = target.spec_replicas;
    let passed = pass(&mut state, now.as_millisecond(), matches!(reading, Reading::Seen(seen) if !seen.is_lower_bound));
    take_in_target(config, &mut state, target);
    let before = state.clone();
    let seen = match reading {
        Reading::Seen(seen) => {
            if !seen.is_lower_bound {
                take_in_reading(config, &mut state, seen, target, now.as_millisecond(), passed);
            }
            Some(seen)
        }
        Reading::Failed | Reading::Stale => None,
    };
    let schedule = config.scheduled(now);
    let floor = floor(config, &mut state, schedule, spec);
    let mut inputs = Inputs { spec_replicas: spec, ready_replicas: target.ready_replicas, ..Inputs::default() };
    let hands_off = if target.other_scaler {
        Some(HeldBack::ConflictingScaler)
    } else if state.paused {
        Some(HeldBack::Paused)
    } else {
        None
    };
    let choice = match (hands_off, seen) {
        (Some(reason), _) => Choice { desired: spec, wanted: spec, need: Need::default(), held_back: Some(reason) },
        (None, None) => {
            let desired = spec.clamp(floor.now, config.max);
            Choice { desired, wanted: desired, need: Need::default(), held_back: Some(HeldBack::Stale) }
        }
        (None, Some(seen)) => {
            let ledger =
                if seen.is_lower_bound { state.ledger.at_least(state.time, backlog(seen)) } else { state.ledger.clone() };
            // The service rate, and the steps that were judged, of before: what this very sample teaches counts from the next step on, so that a higher
            // backlog, which teaches, can never ask for less than a lower one.
            let situation = Situation {
                time: state.time,
                arrivals: state.arrivals.rate(&before.arrivals),
                service: before.service.rate(config.service_rate),
                start: before.service.start(),
                ledger: &ledger,
                ready: seen.ready,
                backlog: backlog(seen),
                in_work: seen.unacknowledged.min(u64::from(ready(target))),
                ready_replicas: ready(target),
                useful: before.downstream.limit(spec),
                steady: state.watched - state.steady >= STEADY,
                spec_replicas: spec,
            };
            tell(&mut inputs, seen, &situation);
            choose(config, &mut state, &situation, seen, target, floor)
        }
    };
    remember(config, &mut state, target, choice.desired, hands_off.is_none());
    let Choice { desired, wanted, need, held_back } = choice;
    let mut decision = Decision {
        desired,
        wanted,
        schedule: schedule.map(|schedule| schedule.name.clone()),
        objective: need.objective,
        held_back,
        inputs,
        sentence: String::new(),
    };
    decision.sentence = decision.explain();
    (state, decision)
}

struct Choice {
    desired: u32,
    wanted: u32,
    need: Need,
    held_back: Option<HeldBack>,
}

/// The fewest replicas.
#[derive(Clone, Copy)]
struct Floor {
    /// Now: `minReplicas`, or what a schedule has come to.
    now: u32,
    /// What the schedule that is on asks for; 0 without one.
    scheduled: u32,
}

/// A schedule comes no faster than what may come in a minute: unlike `minReplicas`, it is nobody's hand.
fn floor(config: &Config, state: &mut State, schedule: Option<&Schedule>, spec: u32) -> Floor {
    let scheduled = schedule.map_or(0, |schedule| schedule.replicas);
    // As long as it wants somebody, and in the very step in which it ends, the queue does not count as idle: a clock that jumps over the
    // end would take the target to zero at once.
    let was_on = std::mem::replace(&mut state.scheduled, schedule.is_some());
    if was_on || state.scheduled {
        state.idle = None;
    }
    Floor { now: scheduled.min(config.max).min(highest(config, state, spec)).max(config.min), scheduled }
}

fn backlog(seen: &Seen) -> u64 {
    seen.ready.saturating_add(seen.unacknowledged)
}

/// Replicas that work. The surge of a rollout is no capacity that stays.
fn ready(target: &Target) -> u32 {
    target.ready_replicas.min(target.spec_replicas)
}

/// Lets time pass, and says how much did.
fn pass(state: &mut State, wall: i64, watched: bool) -> i64 {
    let passed = state.stepped.map_or(0, |last| wall.saturating_sub(last));
    let passed = if (0..=LONGEST_STEP).contains(&passed) { passed } else { 0 };
    state.stepped = Some(wall);
    state.time = state.time.saturating_add(passed);
    if watched {
        state.watched = state.watched.saturating_add(passed);
    }
    passed
}

/// Notices what others did to the target.
fn take_in_target(config: &Config, state: &mut State, target: &Target) {
    let spec = target.spec_replicas;
    if spec > 0 {
        state.paused = false;
    } else if state.spec.is_some_and(|last| last > 0)
        && state.decided.is_some_and(|decided| decided > 0)
        && state.zeroed.is_none_or(|at| state.time - at > OWN_ZERO)
    {
        state.paused = true;
    }
    let by_others = state.spec.is_some_and(|last| last != spec) && state.decided != Some(spec);
    if state.resumed || state.spec.is_none() || by_others {
        // Whoever set it had a reason that is not known here. It stands for a window.
        state.needs.push(state.watched, u64::from(spec) * 1000, config.down_window);
    }
    state.resumed = false;
    state.most.push(state.watched, spec, MINUTE);
    state.fewest.push(state.watched, Reverse(spec), MINUTE);
}

/// Learns from a full reading.
fn take_in_reading(config: &Config, state: &mut State, seen: &Seen, target: &Target, wall: i64, passed: i64) {
    let ready_replicas = ready(target);
    let spec = target.spec_replicas;
    let raised = state.spec.map_or(0, |last| spec.saturating_sub(last));
    state.service.starts(raised, spec - ready_replicas, number::seconds(passed));
    let last = state.last.take();
    if last.as_ref().is_none_or(|last| last.ready_replicas != ready_replicas) || state.spec != Some(spec) {
        state.steady = state.watched;
    }
    let total = backlog(seen);
    let delta = |now: Option<u64>, then: Option<u64>| match (now, then) {
        // A counter that fell was reset: nothing is known of the interval.
        (Some(now), Some(then)) => now.checked_sub(then),
        _ => None,
    };
    let acknowledged = last.as_ref().and_then(|last| delta(seen.acknowledged_total, last.acknowledged));
    let published = last.as_ref().and_then(|last| delta(seen.published_total, last.published));
    let known = last.is_some() && seen.published_total.is_some();
    let was_reset = (known && published.is_none()) || (seen.acknowledged_total.is_some() && acknowledged.is_none());
    // Where arrivals are not counted, they are what the depth grew by and what was served.
    let arrived = last.as_ref().and_then(|last| match published {
        Some(count) => Some(count),
        None if was_reset => None,
        None => Some(total.saturating_add(acknowledged.unwrap_or(0)).saturating_sub(last.backlog())),
    });
    state.ledger.update(Change {
        since: last.as_ref().map_or(state.time, |last| last.time),
        now: state.time,
        published: arrived,
        acknowledged,
        backlog: total,
        width: (config.max_age.into_iter().chain(config.drain_within).min().unwrap_or(60_000) / 16).max(1000),
    });
    let interval = last.as_ref().map(|last| wall.saturating_sub(last.wall)).filter(|t| (1..=LONGEST_STEP).contains(t));
    if let (Some(interval), Some(last)) = (interval, &last) {
        let seconds = number::seconds(interval);
        if let Some(arrived) = arrived {
            state.arrivals = state.arrivals.push(number::of_count(arrived), seconds);
        }
        if let Some(acknowledged) = acknowledged {
            let acknowledged = number::of_count(acknowledged);
            let waiting = last.ready > 0 && seen.ready > 0;
            let steady = state.watched - state.steady >= STEADY;
            if ready_replicas > 0 && steady && !state.downstream.is_suspect(ready_replicas) {
                // Judged by how the interval began: a queue is the more likely to be still there at its end, the slower
                // the service was by chance, and what is learned would be too slow.
                let rate = state.service.rate(config.service_rate);
                let sure = rate.map(|rate| f64::from(ready_replicas) * (1.0 + 2.0 * rate * seconds));
                let saturated = sure.map_or(waiting, |sure| number::of_count(last.ready) >= sure);
                let interval = service::Interval { seconds, acknowledged, ready: f64::from(ready_replicas), saturated };
                state.service.learn(interval, config.service_rate);
            }
            state.downstream.observe(downstream::Interval {
                now: state.watched,
                seconds,
                acknowledged,
                waiting,
                ready: ready_replicas,
                spec,
            });
        }
    }
    let quiet = total == 0 && arrived.is_none_or(|count| count == 0);
    state.idle = if quiet { state.idle.or(Some(state.watched)) } else { None };
    state.last = Some(Last::of(seen, wall, state.time, ready_replicas));
}

fn tell(inputs: &mut Inputs, seen: &Seen, at: &Situation) {
    inputs.ready = seen.ready;
    inputs.unacknowledged = seen.unacknowledged;
    inputs.arrival_rate = at.arrivals;
    inputs.service_rate = at.service;
    inputs.oldest_age = at.ledger.oldest_age(at.time);
    inputs.time_to_drain = at.service.and_then(|service| {
        let spare = service * f64::from(at.ready_replicas) - at.arrivals;
        let seconds = number::of_count(at.backlog) / spare;
        // Longer than a month is never.
        (spare > 0.0 && seconds < 2_592_000.0).then(|| i64::try_from(number::whole(seconds * 1000.0)).unwrap_or(i64::MAX))
    });
}

fn choose(config: &Config, state: &mut State, at: &Situation, seen: &Seen, target: &Target, floor: Floor) -> Choice {
    let spec = target.spec_replicas;
    let mut need = need::of(config, at);
    let mut wanted = number::replicas(need.replicas);
    let lasting = need.replicas.max(need::keep_up(config, at)).max(f64::from(floor.scheduled.min(config.max)));
    state.needs.push(state.watched, number::whole((lasting * 1000.0).ceil()), config.down_window);
    let idle = at.backlog == 0 && state.idle.is_some_and(|since| state.watched - since >= config.idle_after);
    let (desired, held_back) = if idle && floor.now == 0 && !seen.is_lower_bound {
        (0, None)
    } else if wanted > spec {
        up(config, state, at, need, wanted, target)
    } else {
        down(config, state, seen, target, floor)
    };
    let by_schedule = floor.scheduled > wanted.max(config.min);
    if by_schedule {
        (wanted, need.objective) = (floor.scheduled, Some(Objective::Schedule));
    }
    let clamped = desired.clamp(floor.now, config.max);
    let held_back = if clamped < desired || (wanted > config.max && held_back.is_none()) {
        Some(config.bound())
    } else if by_schedule && clamped < wanted {
        Some(HeldBack::RateLimited)
    } else if clamped > desired {
        (!by_schedule).then_some(HeldBack::Minimum)
    } else {
        held_back
    };
    // Where something waits there is somebody, whatever else was decided.
    let desired = if at.backlog > 0 { clamped.max(1) } else { clamped };
    Choice { desired, wanted, need, held_back }
}

fn up(config: &Config, state: &State, at: &Situation, need: Need, wanted: u32, target: &Target) -> (u32, Option<HeldBack>) {
    let spec = target.spec_replicas;
    if spec > 0 && need.replicas <= f64::from(spec) * (1.0 + DEAD_BAND) {
        return (spec, Some(HeldBack::DeadBand));
    }
    if target.quota_exceeded || target.unschedulable > 0 {
        return (spec, Some(HeldBack::CapacityLimited));
    }
    if at.useful <= spec {
        return (spec, Some(HeldBack::DownstreamSaturated));
    }
    let wanted = wanted.min(config.max).min(at.useful);
    let limit = highest(config, state, spec);
    (wanted.min(limit), (wanted > limit).then_some(HeldBack::RateLimited))
}

/// The most that may be there now, by `behavior.scaleUpReplicasPerMinute`.
fn highest(config: &Config, state: &State, spec: u32) -> u32 {
    match (config.up_per_minute, state.fewest.get()) {
        (Some(most), Some(Reverse(fewest))) => fewest.saturating_add(most).max(spec),
        _ => u32::MAX,
    }
}

fn down(config: &Config, state: &State, seen: &Seen, target: &Target, floor: Floor) -> (u32, Option<HeldBack>) {
    let spec = target.spec_replicas;
    if seen.is_lower_bound {
        return (spec, Some(HeldBack::NodesMissing));
    }
    let lasting = number::replicas(number::of_count(state.needs.get().unwrap_or(0)) / 1000.0);
    // Zero is only for an idle queue.
    let (goal, mut held) = match lasting.max(floor.now) {
        0 if spec > 0 => (1, Some(HeldBack::NotIdle)),
        goal => (goal, None),
    };
    if goal >= spec {
        return (spec, held.or((spec > floor.now && spec > 0).then_some(HeldBack::DownWindow)));
    }
    if f64::from(spec - goal) < f64::from(spec) * DEAD_BAND {
        return (spec, Some(HeldBack::DeadBand));
    }
    let most = state.most.get().unwrap_or(spec);
    let share = u64::from(most) * u64::from(config.down_percent_per_minute) / 100;
    let slowest = most.saturating_sub(u32::try_from(share).unwrap_or(u32::MAX).max(1)).min(spec);
    let busy = seen.busy_replicas.map_or(seen.unacknowledged, u64::from).min(u64::from(ready(target)));
    let busy = u32::try_from(busy).unwrap_or(u32::MAX);
    let mut desired = goal;
    for (bound, reason) in [(slowest, HeldBack::RateLimited), (busy, HeldBack::Unacknowledged)] {
        if bound > desired {
            (desired, held) = (bound, Some(reason));
        }
    }
    (desired, held)
}

fn remember(config: &Config, state: &mut State, target: &Target, desired: u32, acts: bool) {
    let spec = target.spec_replicas;
    state.spec = Some(spec);
    state.decided = Some(desired);
    if desired == 0 && acts {
        state.zeroed = Some(state.time);
    }
    if acts && desired > spec {
        state.downstream.raised(ready(target));
    }
    if acts && desired != spec {
        // What was decided counts for the limits at once, however late it is seen on the target.
        state.most.push(state.watched, desired, MINUTE);
        state.fewest.push(state.watched, Reverse(desired), MINUTE);
    }
    debug_assert!(config.min <= config.max);
}
