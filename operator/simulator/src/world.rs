//! One run: events in the order of their time.

use std::cmp::Ordering;
use std::collections::{BinaryHeap, VecDeque};

use crate::chance::{Chance, Service};
use crate::figures::{Figures, Record};
use crate::policy::{Policy, View};
use crate::setting::{MAX_REPLICAS, REFRESH_SECONDS, SERVICE_SECONDS};
use crate::trace::Trace;

/// What the broker last told.
#[derive(Clone, Debug, Default)]
pub struct Told {
    /// Messages ready.
    pub ready: u64,
    /// Messages unacknowledged.
    pub unacknowledged: u64,
    /// Messages taken in since the last reset.
    pub published: u64,
    /// Messages acknowledged since the last reset.
    pub acknowledged: u64,
    /// Consumers attached.
    pub consumers: u32,
    /// Which replicas held messages.
    pub(crate) busy: Vec<usize>,
}

#[derive(Debug, Default)]
struct Pod {
    gone: bool,
    ready: bool,
    /// Arrival of each message it holds; the first is worked on.
    held: VecDeque<f64>,
    /// Tells the work of now from work that was cut off.
    work: u64,
    /// It waits for its turn to get a message.
    in_turn: bool,
}

#[derive(Debug, PartialEq)]
enum Event {
    Served { pod: usize, work: u64 },
    Started { pod: usize },
    Look,
    Refresh,
    Second,
    OutageBegins,
    OutageEnds,
    Reset,
}

#[derive(Debug, PartialEq)]
struct Timed {
    at: f64,
    number: u64,
    event: Event,
}

impl Eq for Timed {}

impl Ord for Timed {
    fn cmp(&self, other: &Self) -> Ordering {
        other.at.total_cmp(&self.at).then(other.number.cmp(&self.number))
    }
}

impl PartialOrd for Timed {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// A run.
pub struct World<'a> {
    trace: &'a Trace,
    service: Service,
    prefetch: usize,
    times: Chance,
    starts: Chance,
    now: f64,
    events: BinaryHeap<Timed>,
    number: u64,
    ready: VecDeque<f64>,
    pods: Vec<Pod>,
    /// Not gone, in the order of their making.
    alive: Vec<usize>,
    turn: VecDeque<usize>,
    working: u32,
    published: u64,
    acknowledged: u64,
    unacknowledged: u64,
    told: Told,
    down: bool,
    /// What senders keep while the broker is down.
    kept: u64,
    record: Record,
}

impl<'a> World<'a> {
    /// A run of a trace. The same seed draws the same starts and times for every policy.
    pub fn new(trace: &'a Trace, service: Service, prefetch: usize, seed: u64) -> Self {
        let mut world = Self {
            trace,
            service,
            prefetch,
            times: Chance::new(seed, 2),
            starts: Chance::new(seed, 3),
            now: 0.0,
            events: BinaryHeap::new(),
            number: 0,
            ready: VecDeque::new(),
            pods: Vec::new(),
            alive: Vec::new(),
            turn: VecDeque::new(),
            working: 0,
            published: 0,
            acknowledged: 0,
            unacknowledged: 0,
            told: Told::default(),
            down: false,
            kept: 0,
            record: Record::new(trace.event),
        };
        let mut phases = Chance::new(seed, 4);
        world.at(phases.even() * REFRESH_SECONDS, Event::Refresh);
        world.at(1.0, Event::Second);
        if let Some((from, to)) = trace.outage {
            world.at(from, Event::OutageBegins);
            world.at(to, Event::OutageEnds);
        }
        for reset in &trace.resets {
            world.at(*reset, Event::Reset);
        }
        for _ in 0..trace.replicas {
            world.create();
        }
        for pod in world.alive.clone() {
            world.start(pod);
        }
        world
    }

    /// Runs to the end of the trace.
    pub fn run(mut self, policy: &mut dyn Policy) -> Figures {
        self.at(policy.next(), Event::Look);
        let mut arrivals = self.trace.arrivals.iter().copied().peekable();
        loop {
            let event_at = self.events.peek().map_or(f64::INFINITY, |timed| timed.at);
            let arrival_at = arrivals.peek().copied().unwrap_or(f64::INFINITY);
            if event_at.min(arrival_at) > self.trace.seconds {
                break;
            }
            if arrival_at <= event_at {
                arrivals.next();
                self.now = arrival_at;
                if self.down {
                    self.kept += 1;
                } else {
                    self.arrive();
                    self.deliver();
                }
            } else if let Some(Timed { at, event, .. }) = self.events.pop() {
                self.now = at;
                self.happen(event, policy);
            }
        }
        self.record.finish()
    }

    fn at(&mut self, at: f64, event: Event) {
        self.number += 1;
        self.events.push(Timed { at, number: self.number, event });
    }

    #[allow(clippy::needless_pass_by_value)] // an event happens once
    fn happen(&mut self, event: Event, policy: &mut dyn Policy) {
        match event {
            Event::Served { pod, work } => self.served(pod, work),
            Event::Started { pod } => self.start(pod),
            Event::Look => {
                let view = View {
                    now: self.now,
                    told: (!self.down).then_some(&self.told),
                    spec: u32::try_from(self.alive.len()).unwrap_or(u32::MAX),
                    ready: u32::try_from(self.alive.iter().filter(|pod| self.pods[**pod].ready).count()).unwrap_or(u32::MAX),
                };
                let spec = view.spec;
                if let Some(replicas) = policy.look(&view)
                    && replicas != spec
                {
                    self.record.scaled(self.now, spec, replicas);
                    self.scale(replicas.min(MAX_REPLICAS), policy.idle_first());
                }
                self.at(policy.next(), Event::Look);
            }
            Event::Refresh => {
                if !self.down {
                    self.told = Told {
                        ready: self.ready.len() as u64,
                        unacknowledged: self.unacknowledged,
                        published: self.published,
                        acknowledged: self.acknowledged,
                        consumers: u32::try_from(self.alive.len()).unwrap_or(u32::MAX),
                        busy: self.alive.iter().copied().filter(|pod| !self.pods[*pod].held.is_empty()).collect(),
                    };
                }
                self.at(self.now + REFRESH_SECONDS, Event::Refresh);
            }
            Event::Second => {
                let held = self.alive.iter().filter_map(|pod| self.pods[*pod].held.front());
                let oldest = held.chain(self.ready.front()).copied().fold(self.now, f64::min);
                self.record.second(self.now - oldest, self.ready.len(), self.unacknowledged, self.alive.len());
                self.at(self.now + 1.0, Event::Second);
            }
            Event::OutageBegins => {
                self.down = true;
                for pod in self.alive.clone() {
                    self.give_back(pod);
                }
            }
            Event::OutageEnds => {
                self.down = false;
                for _ in 0..std::mem::take(&mut self.kept) {
                    self.arrive();
                }
                self.deliver();
            }
            Event::Reset => (self.published, self.acknowledged) = (0, 0),
        }
    }

    fn arrive(&mut self) {
        self.published += 1;
        self.ready.push_back(self.now);
    }

    /// Gives messages out, to each consumer with room in its turn.
    fn deliver(&mut self) {
        while !self.down && !self.ready.is_empty() {
            let Some(pod) = self.turn.pop_front() else { return };
            let Pod { gone, held, in_turn, .. } = &mut self.pods[pod];
            if *gone || held.len() >= self.prefetch {
                *in_turn = false;
                continue;
            }
            let Some(message) = self.ready.pop_front() else { return };
            held.push_back(message);
            self.unacknowledged += 1;
            let first = held.len() == 1;
            if held.len() < self.prefetch {
                self.turn.push_back(pod);
            } else {
                *in_turn = false;
            }
            if first {
                self.work(pod);
            }
        }
    }

    /// Begins to work on the first message that a pod holds.
    fn work(&mut self, pod: usize) {
        self.working += 1;
        // What stands behind the consumers serves no more than its limit: then each of them waits for it.
        let slower = match self.trace.downstream {
            Some((from, to, limit)) if (from..to).contains(&self.now) => (f64::from(self.working) / limit).max(1.0),
            _ => 1.0,
        };
        let seconds = self.service.draw(&mut self.times, SERVICE_SECONDS) * slower;
        self.pods[pod].work += 1;
        let work = self.pods[pod].work;
        self.at(self.now + seconds, Event::Served { pod, work });
    }

    fn served(&mut self, pod: usize, work: u64) {
        if self.pods[pod].gone || self.pods[pod].work != work {
            return;
        }
        self.working -= 1;
        if let Some(arrived) = self.pods[pod].held.pop_front() {
            self.acknowledged += 1;
            self.unacknowledged -= 1;
            self.record.served(self.now - arrived);
        }
        self.wait_for_turn(pod);
        if !self.pods[pod].held.is_empty() {
            self.work(pod);
        }
        self.deliver();
    }

    fn wait_for_turn(&mut self, pod: usize) {
        if !self.pods[pod].in_turn {
            self.pods[pod].in_turn = true;
            self.turn.push_back(pod);
        }
    }

    fn create(&mut self) -> usize {
        self.pods.push(Pod::default());
        self.alive.push(self.pods.len() - 1);
        self.pods.len() - 1
    }

    fn start(&mut self, pod: usize) {
        if !self.pods[pod].gone {
            self.pods[pod].ready = true;
            self.wait_for_turn(pod);
            self.deliver();
        }
    }

    /// Takes from a pod what it holds; says how many messages that were.
    fn give_back(&mut self, pod: usize) -> usize {
        let held = std::mem::take(&mut self.pods[pod].held);
        self.pods[pod].work += 1;
        if !held.is_empty() {
            self.working -= 1;
        }
        self.unacknowledged -= held.len() as u64;
        for message in held.iter().rev() {
            let place = self.ready.partition_point(|other| other < message);
            self.ready.insert(place, *message);
        }
        self.wait_for_turn(pod);
        held.len()
    }

    fn scale(&mut self, replicas: u32, idle_first: bool) {
        let replicas = replicas as usize;
        while self.alive.len() < replicas {
            let pod = self.create();
            let start = self.starts.start();
            self.at(self.now + start, Event::Started { pod });
        }
        while self.alive.len() > replicas {
            let pods = &self.pods;
            let busy = &self.told.busy;
            // Kubernetes takes those first that are not ready, then the youngest. With a deletion cost, those that were idle
            // when the broker last told.
            let last = self
                .alive
                .iter()
                .enumerate()
                .max_by_key(|(place, pod)| (!pods[**pod].ready, idle_first && busy.binary_search(pod).is_err(), *place));
            let Some((place, _)) = last else { return };
            let pod = self.alive.remove(place);
            let returned = self.give_back(pod);
            self.pods[pod].gone = true;
            self.record.redelivered(returned);
        }
        self.deliver();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::fixed::Fixed;

    fn run(name: &str, service: Service, prefetch: usize, replicas: u32) -> Figures {
        let trace = Trace::named(name, 5).unwrap();
        World::new(&trace, service, prefetch, 5).run(&mut Fixed::new(replicas))
    }

    #[test]
    fn the_same_seed_is_the_same_run() {
        let figures = || format!("{:?}", run("on-off", Service::Lognormal, 10, 10));
        assert_eq!(figures(), figures());
    }

    #[test]
    fn enough_replicas_leave_only_the_time_of_service() {
        let figures = run("steady", Service::Deterministic, 1, 40);
        assert!((figures.age_p50 - SERVICE_SECONDS).abs() < 1e-6, "{figures:?}");
        assert!(figures.objective_seconds < 0.5);
    }

    #[test]
    fn too_few_replicas_fall_behind_by_what_they_lack() {
        // 8 replicas' worth come, 4 replicas' worth are served: after an hour half of it waits.
        let figures = run("steady", Service::Exponential, 1, 4);
        assert!((figures.served - 4.0 * 3600.0 / SERVICE_SECONDS).abs() < 600.0, "{figures:?}");
        assert!(figures.objective_seconds > 3400.0);
    }

    #[test]
    fn a_busy_consumer_that_goes_gives_its_messages_back() {
        struct Once(f64);
        impl Policy for Once {
            fn name(&self) -> String {
                "once".into()
            }
            fn next(&self) -> f64 {
                self.0
            }
            fn look(&mut self, view: &View) -> Option<u32> {
                self.0 = 1e9;
                Some(view.spec - 4)
            }
        }
        let trace = Trace::named("steady", 5).unwrap();
        let figures = World::new(&trace, Service::Exponential, 10, 5).run(&mut Once(1000.0));
        assert!(figures.redeliveries > 0.0 && figures.scale_events > 0.5, "{figures:?}");
    }

    #[test]
    fn nothing_is_lost_over_an_outage() {
        let figures = run("outage", Service::Exponential, 10, 30);
        let trace = Trace::named("outage", 5).unwrap();
        assert!(figures.served > f64::from(u32::try_from(trace.arrivals.len()).unwrap()) - 100.0, "{figures:?}");
    }
}
