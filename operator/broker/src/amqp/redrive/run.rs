//! One run of a redrive.

use std::collections::{HashMap, hash_map::Entry};

use futures::{
    FutureExt,
    future::BoxFuture,
    stream::{FuturesUnordered, StreamExt},
};
use tokio::{
    select,
    time::{Instant, sleep_until},
};

use super::{
    End, Failed, Progress, Redrive, Report, Target, filter,
    letter::{self, copy, is_of, is_of_other_user},
    pace::Pace,
};
use crate::amqp::{
    address,
    connection::Connection,
    error::Error,
    message::{Delivery, Incoming},
    options::ConnectOptions,
    outcome::Outcome,
    receiver::Receiver,
    sender::Sender,
};

/// Messages on their way at once: what can be there twice after a run that was killed.
const WINDOW: u32 = 100;

/// Moves dead letters as planned. `progress` is called with each message that was moved or stays.
///
/// Dropping the future ends the run as if it were killed. After a failure, or an end that was none of [`End::Through`], the
/// same call goes on where this one stopped.
pub async fn redrive(options: &ConnectOptions, plan: &Redrive, progress: impl FnMut(&Progress)) -> Result<Report, Failed> {
    let nothing_done = |error| Failed { progress: Progress::default(), error };
    let connection = Connection::connect(options).await.map_err(nothing_done)?;
    let begun = Run::begin(connection.clone(), options, plan, progress).await;
    let ended = match begun {
        Ok(run) => Box::pin(run.until_the_end()).await,
        Err(error) => Err(nothing_done(error)),
    };
    // Everything is settled and the links are closed, or the run has failed anyway.
    let _ = connection.close().await;
    ended
}

struct Run<'a, P> {
    plan: &'a Redrive,
    user: &'a str,
    /// The mark of this run's copies.
    mark: String,
    connection: Connection,
    receiver: Receiver,
    /// By address; none where there is no queue.
    senders: HashMap<String, Option<Sender>>,
    in_flight: FuturesUnordered<BoxFuture<'static, (Delivery, Result<Outcome, Error>)>>,
    /// Letters that stay.
    held: Vec<Delivery>,
    /// Messages asked for that have not been received.
    asked: u32,
    pace: Pace,
    progress: Progress,
    tell: P,
}

/// A letter that waits for its turn.
struct Waiting {
    address: String,
    letter: Delivery,
    copy: Incoming,
}

// One at a time, on the stack: a box for each message would cost more than the room.
#[allow(clippy::large_enum_variant)]
enum Step {
    Settled(Delivery, Result<Outcome, Error>),
    Came(Delivery),
    Due(Waiting),
    Idle,
}

impl<'a, P: FnMut(&Progress)> Run<'a, P> {
    async fn begin(connection: Connection, options: &'a ConnectOptions, plan: &'a Redrive, tell: P) -> Result<Self, Error> {
        let mut senders = HashMap::new();
        if let Target::Address(address) = &plan.to {
            // A wrong target is told before anything is received.
            senders.insert(address.clone(), Some(connection.sender(address).await?));
        }
        let receiver = Receiver::attach_without_credit(connection.clone(), &address::queue(&plan.from)).await?;
        Ok(Self {
            plan,
            user: &options.username,
            mark: format!("{:016x}", rand::random::<u64>()),
            connection,
            receiver,
            senders,
            in_flight: FuturesUnordered::new(),
            held: Vec::new(),
            asked: 0,
            pace: Pace::new(plan.rate, Instant::now()),
            progress: Progress::default(),
            tell,
        })
    }

    async fn until_the_end(mut self) -> Result<Report, Failed> {
        let ended = self.go().await;
        // Without a connection the broker takes all of this back by itself.
        let mut put_back = Ok(());
        for letter in std::mem::take(&mut self.held) {
            put_back = put_back.and(self.receiver.release(&letter).await);
        }
        // A settlement that is still on its way must not meet the end of its connection.
        put_back = put_back.and(self.receiver.close().await);
        for sender in self.senders.into_values().flatten() {
            let _ = sender.close().await;
        }
        let progress = self.progress;
        match ended.and_then(|end| put_back.map(|()| end)) {
            Ok(end) => Ok(Report { progress, end }),
            Err(error) => Err(Failed { progress, error }),
        }
    }

    async fn go(&mut self) -> Result<End, Error> {
        let mut waiting: Option<Waiting> = None;
        let mut end: Option<Result<End, Error>> = None;
        let mut active = Instant::now();
        loop {
            let busy = !self.in_flight.is_empty() || waiting.is_some();
            end = end.or_else(|| self.is_full(busy).map(Ok));
            if end.is_some() {
                if let Some(Waiting { letter, .. }) = waiting.take() {
                    self.receiver.release(&letter).await?;
                }
            } else {
                self.ask(waiting.is_some()).await?;
            }
            let receives = end.is_none() && waiting.is_none() && self.asked > 0;
            let step = select! {
                biased;
                Some((letter, outcome)) = self.in_flight.next() => Step::Settled(letter, outcome),
                Some(due) = due(self.pace.due(), &mut waiting) => Step::Due(due),
                came = self.receiver.recv(), if receives => Step::Came(came?),
                () = sleep_until(active + self.plan.idle), if receives && !busy => Step::Idle,
                else => match end {
                    Some(end) => return end,
                    // Nothing is on its way and nothing was asked for: there is no room, and `is_full` says why.
                    None => return Err(Error::Protocol("a redrive waits for nothing".to_owned())),
                },
            };
            active = Instant::now();
            match step {
                Step::Settled(letter, outcome) => {
                    let failed = self.settle(&letter, outcome).await;
                    end = failed.err().map(Err).or(end);
                }
                Step::Came(letter) => {
                    self.asked -= 1;
                    waiting = self.look_at(letter).await?;
                }
                Step::Due(due) => {
                    let failed = self.send(due).await;
                    end = failed.err().map(Err).or(end);
                }
                Step::Idle => end = Some(Ok(End::Through)),
            }
        }
    }

    fn is_full(&self, busy: bool) -> Option<End> {
        if self.held.len() >= self.plan.max_held as usize {
            return Some(End::TooManyHeld);
        }
        (!busy && self.plan.limit.is_some_and(|limit| self.progress.moved >= limit)).then_some(End::Limit)
    }

    /// Asks for as many messages as there is room for: in the window, among what may be held, up to the limit.
    async fn ask(&mut self, one_waits: bool) -> Result<(), Error> {
        let moving = u32::try_from(self.in_flight.len()).unwrap_or(u32::MAX).saturating_add(u32::from(one_waits));
        let held = u32::try_from(self.held.len()).unwrap_or(u32::MAX);
        let wanted = self.plan.limit.map_or(u64::MAX, |limit| limit.saturating_sub(self.progress.moved + u64::from(moving)));
        let room = WINDOW.saturating_sub(moving).min(self.plan.max_held.saturating_sub(held));
        let room = room.min(u32::try_from(wanted).unwrap_or(u32::MAX));
        // Not for each message: asking costs a frame.
        if room > 0 && self.asked <= room / 2 {
            self.receiver.grant(room).await?;
            self.asked = room;
        }
        Ok(())
    }

    /// Decides about a letter: it waits for its turn, or it stays.
    async fn look_at(&mut self, letter: Delivery) -> Result<Option<Waiting>, Error> {
        let Delivery { info, epoch, content } = letter;
        // Only who is asked about is kept of what is held: there may be many.
        let letter = Delivery { info, epoch, content: Err(String::new()) };
        let Ok(message) = content else { return Ok(self.hold(letter, |progress| &mut progress.unreadable)) };
        if is_of(&message, &self.mark) {
            return Ok(self.hold(letter, |progress| &mut progress.returned));
        }
        let filter = self.plan.filter.as_ref();
        if filter.is_some_and(|filter| !filter.matches(&filter::seen(&message), jiff::Timestamp::now())) {
            return Ok(self.hold(letter, |progress| &mut progress.not_matched));
        }
        if !self.plan.impersonates && is_of_other_user(&message, self.user) {
            return Ok(self.hold(letter, |progress| &mut progress.of_others));
        }
        let address = match &self.plan.to {
            Target::Address(address) => Some(address.clone()),
            Target::Source => letter::source(&message, &self.plan.from).map(|queue| address::queue(&queue)),
        };
        match address {
            Some(address) if self.leads_somewhere(&address).await? => {
                Ok(Some(Waiting { address, letter, copy: copy(message, &self.mark) }))
            }
            _ => Ok(self.hold(letter, |progress| &mut progress.homeless)),
        }
    }

    /// Opens a link to this address if there is none. A queue that was deleted does not keep back the letters of others.
    async fn leads_somewhere(&mut self, address: &str) -> Result<bool, Error> {
        match self.senders.entry(address.to_owned()) {
            Entry::Occupied(known) => Ok(known.get().is_some()),
            Entry::Vacant(unknown) => match self.connection.sender(address).await {
                Ok(sender) => {
                    unknown.insert(Some(sender));
                    Ok(true)
                }
                Err(Error::Refused { condition, .. }) if condition == "amqp:not-found" => {
                    unknown.insert(None);
                    Ok(false)
                }
                Err(error) => Err(error),
            },
        }
    }

    fn hold(&mut self, letter: Delivery, count: impl FnOnce(&mut Progress) -> &mut u64) -> Option<Waiting> {
        self.held.push(letter);
        *count(&mut self.progress) += 1;
        (self.tell)(&self.progress);
        None
    }

    async fn send(&mut self, Waiting { address, letter, copy }: Waiting) -> Result<(), Error> {
        self.pace.went(Instant::now());
        let Some(Some(sender)) = self.senders.get_mut(&address) else {
            return Err(Error::Protocol(format!("there is no link to {address}")));
        };
        match sender.forward(copy).await {
            Ok(pending) => {
                self.in_flight.push(pending.outcome().map(|outcome| (letter, outcome)).boxed());
                Ok(())
            }
            Err(error) => self.give_back(&letter, error).await,
        }
    }

    /// The letter is done with if its copy was accepted, and only then.
    async fn settle(&mut self, letter: &Delivery, outcome: Result<Outcome, Error>) -> Result<(), Error> {
        match outcome.and_then(Outcome::accepted) {
            Ok(()) => {
                self.receiver.accept(letter).await?;
                self.progress.moved += 1;
                (self.tell)(&self.progress);
                Ok(())
            }
            Err(error) => self.give_back(letter, error).await,
        }
    }

    async fn give_back(&mut self, letter: &Delivery, error: Error) -> Result<(), Error> {
        // If this fails too, the broker takes it back with the connection; the first error says more.
        let _ = self.receiver.release(letter).await;
        Err(error)
    }
}

/// The letter that waits, when it may go; nothing if none waits.
async fn due(at: Instant, waiting: &mut Option<Waiting>) -> Option<Waiting> {
    if waiting.is_some() {
        sleep_until(at).await;
    }
    waiting.take()
}
