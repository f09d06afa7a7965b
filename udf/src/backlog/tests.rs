//! Runs random sequences of steps of intakes, callers and the clock against the backlog and a model of it, and compares
//! both after each step.

use std::collections::{BTreeMap, VecDeque};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

use proptest::prelude::{Just, ProptestConfig, any, prop_oneof, proptest};
use proptest::strategy::Strategy as Generates;
use wire::Outcome;

use super::*;
use crate::aggregate::{Collect, Finish};
use crate::deadline::Deadline;
use crate::event::Window;
use crate::fixtures::{
    assert_about, index_of, metrics, millis, place_of, result, retry, some, soon, waiting,
};
use crate::tally::Tally;

/// Latency of each attempt: a time that a histogram holds exactly.
const LATENCY: Duration = Duration::from_millis(1);

/// Longer than any pause before a retry.
const AFTER_ALL_PAUSES: Duration = Duration::from_secs(6);

/// One step. Numbers select one of the existing keys or callers.
#[derive(Debug, Clone, Copy)]
enum Step {
    /// An event of a key arrives, if there is a permit.
    Add(usize),
    /// The calls of a key may begin.
    Open(usize),
    /// The input of a key ends, and the intake awaits its tally.
    Close(usize),
    /// The window of a key is dropped.
    Abandon(usize),
    /// The deadline of a key passes.
    Miss(usize),
    /// A caller without a call takes an event.
    Take,
    /// A caller with a call reserves another event.
    Reserve(usize),
    /// A caller releases the event that it reserved last.
    Release(usize),
    /// The call of a caller ends, and the next event that it has reserved begins.
    End(usize, Outcome),
    /// All pauses before retries pass.
    Wait,
}

fn steps() -> impl Generates<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => any::<usize>().prop_map(Step::Add),
        2 => any::<usize>().prop_map(Step::Open),
        1 => any::<usize>().prop_map(Step::Close),
        1 => any::<usize>().prop_map(Step::Abandon),
        1 => any::<usize>().prop_map(Step::Miss),
        6 => Just(Step::Take),
        3 => any::<usize>().prop_map(Step::Reserve),
        1 => any::<usize>().prop_map(Step::Release),
        5 => (any::<usize>(), proptest::sample::select(Outcome::ALL.to_vec()))
            .prop_map(|(caller, outcome)| Step::End(caller, outcome)),
        1 => Just(Step::Wait),
    ];
    proptest::collection::vec(step, 1..150)
}

fn limits() -> impl Generates<Value = Limit> {
    prop_oneof![
        3 => (1usize..5).prop_map(|slots| Limit::Shared(some(slots))),
        1 => (1usize..5).prop_map(|slots| Limit::OnePerKey(some(slots))),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]
    #[test]
    fn any_sequence_keeps_the_limit_the_turns_and_the_room(
        limit in limits(),
        keys in 1usize..5,
        max_waiting in 1usize..8,
        retries in 0u32..3,
        has_deadline: bool,
        steps in steps(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            let started = Arc::default();
            let strategy = Box::new(Starts(Arc::clone(&started)));
            let backlog = Arc::new(Backlog::new(strategy, limit, retry(retries), metrics()));
            let mut world = World::new(&backlog, started, keys, max_waiting, retries, has_deadline);
            for step in steps {
                world.step(step).await;
            }
            world.end_all().await;
        });
    }
}

/// Counts the callers that the backlog starts, instead of starting them.
struct Starts(Arc<AtomicUsize>);

impl Strategy<()> for Starts {
    fn start(&self, _: &Arc<Backlog<()>>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// The answers that an aggregate has got, by the index of their event.
#[derive(Clone, Default)]
struct Answered(Arc<Mutex<BTreeMap<u64, Outcome>>>);

impl Collect<()> for Answered {
    fn add(&self, event: Event, answer: Result<(), CallError>) {
        let outcome = answer.map_or_else(|error| error.outcome(), |()| Outcome::Ok);
        let before = self.0.lock().unwrap().insert(index_of(&event), outcome);
        assert_eq!(before, None, "each once");
    }

    fn finish(&self, _: Window) -> Finish {
        unreachable!("no reducer is there to finish it")
    }
}

/// The backlog, its callers, and the model.
struct World<'a> {
    backlog: &'a Arc<Backlog<()>>,
    limit: Limit,
    retries: u32,
    max_waiting: usize,
    has_deadline: bool,
    room: Arc<Room>,
    started: Arc<AtomicUsize>,
    /// Callers without a call; each occupies a slot.
    idle: usize,
    callers: Vec<Caller<'a>>,
    keys: Vec<Key>,
    next_index: u64,
}

/// A caller with a call in flight.
struct Caller<'a> {
    in_flight: InFlight<()>,
    key: usize,
    reserved: VecDeque<(Reserved<'a, ()>, Expected)>,
}

/// An event that was taken: its key, its index, and the attempts made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Expected {
    key: usize,
    index: u64,
    attempts: u32,
}

/// How an event ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct End {
    outcome: Outcome,
    attempts: u32,
    /// One in each attempt that has ended.
    reconnects: u32,
    has_latency: bool,
}

/// A key in the model.
struct Key {
    calls: Arc<KeyCalls<()>>,
    answered: Answered,
    finished: Option<Pin<Box<dyn Future<Output = Tally>>>>,
    open: bool,
    closed: bool,
    abandoned: bool,
    missed: bool,
    waiting: VecDeque<u64>,
    /// Events whose pause is over, with their attempts. Pauses are random, and so is their order.
    retries: BTreeMap<u64, u32>,
    paused: BTreeMap<u64, u32>,
    /// Reserved, with their attempts.
    reserved: BTreeMap<u64, u32>,
    /// With the attempts before.
    in_flight: BTreeMap<u64, u32>,
    peak: u64,
    added: u64,
    first_attempts: u64,
    ended: BTreeMap<u64, End>,
    /// Events of other keys taken since this key became ready.
    passed_over: usize,
}

impl Key {
    fn new(number: usize, room: &Arc<Room>, has_deadline: bool) -> Self {
        // Begun by nobody, so that it cuts no pause.
        let deadline = has_deadline.then(|| Arc::new(Deadline::new(Duration::ZERO)));
        let place = place_of(&[&format!("key-{number}")]);
        let answered = Answered::default();
        let answers = Some(Box::new(answered.clone()) as Box<dyn Collect<()>>);
        Self {
            calls: Arc::new(KeyCalls::new(place, answers, Arc::clone(room)).with_deadline(deadline.as_ref())),
            answered,
            finished: None,
            open: false,
            closed: false,
            abandoned: false,
            missed: false,
            waiting: VecDeque::new(),
            retries: BTreeMap::new(),
            paused: BTreeMap::new(),
            reserved: BTreeMap::new(),
            in_flight: BTreeMap::new(),
            peak: 0,
            added: 0,
            first_attempts: 0,
            ended: BTreeMap::new(),
            passed_over: 0,
        }
    }

    fn taken(&self) -> usize {
        self.reserved.len() + self.in_flight.len() + self.paused.len()
    }

    fn ready(&self, limit: Limit) -> usize {
        let waiting = self.waiting.len() + self.retries.len();
        match limit {
            _ if !self.open || self.abandoned || self.missed => 0,
            Limit::Shared(_) => waiting,
            Limit::OnePerKey(_) => usize::from(waiting > 0 && self.taken() == 0),
        }
    }

    fn is_over(&self) -> bool {
        let has_ended = self.waiting.is_empty() && self.retries.is_empty() && self.taken() == 0;
        self.closed && (has_ended || self.missed)
    }
}

impl<'a> World<'a> {
    fn new(
        backlog: &'a Arc<Backlog<()>>,
        started: Arc<AtomicUsize>,
        keys: usize,
        max_waiting: usize,
        retries: u32,
        has_deadline: bool,
    ) -> Self {
        let room = Arc::new(Room::new(max_waiting, u64::MAX));
        Self {
            limit: backlog.limit,
            backlog,
            retries,
            max_waiting,
            has_deadline,
            keys: (0..keys)
                .map(|number| Key::new(number, &room, has_deadline))
                .collect(),
            room,
            started,
            idle: 0,
            callers: Vec::new(),
            next_index: 0,
        }
    }

    async fn step(&mut self, step: Step) {
        match step {
            Step::Add(key) => self.add(key % self.keys.len()),
            Step::Open(key) => self.open(key % self.keys.len()),
            Step::Close(key) => self.close(key % self.keys.len()),
            Step::Abandon(key) => self.abandon(key % self.keys.len()),
            Step::Miss(key) => self.miss(key % self.keys.len()).await,
            Step::Take => self.take(),
            Step::Reserve(caller) if !self.callers.is_empty() => {
                self.reserve(caller % self.callers.len());
            }
            Step::Release(caller) if !self.callers.is_empty() => {
                self.release(caller % self.callers.len());
            }
            Step::End(caller, outcome) if !self.callers.is_empty() => {
                self.end(caller % self.callers.len(), outcome);
            }
            Step::Reserve(_) | Step::Release(_) | Step::End(..) => {}
            Step::Wait => self.wait().await,
        }
        self.check();
    }

    fn add(&mut self, number: usize) {
        let key = &mut self.keys[number];
        if key.closed || key.abandoned {
            return;
        }
        let event = waiting(&key.calls, self.next_index);
        if key.missed {
            self.backlog.miss_arrival(&key.calls, event);
            key.misses(self.next_index, 0, 0);
            key.added += 1;
            self.next_index += 1;
            return;
        }
        if !self.room.try_take(event.bytes()) {
            return;
        }
        self.backlog.add(&key.calls, event);
        key.waiting.push_back(self.next_index);
        key.added += 1;
        self.next_index += 1;
    }

    fn open(&mut self, number: usize) {
        let key = &mut self.keys[number];
        if !key.abandoned {
            self.backlog.open(&key.calls);
            key.open = true;
        }
    }

    fn close(&mut self, number: usize) {
        self.open(number);
        let key = &mut self.keys[number];
        if !key.closed && !key.abandoned {
            key.closed = true;
            let calls = Arc::clone(&key.calls);
            key.finished = Some(Box::pin(async move { calls.finished().await }));
        }
    }

    fn abandon(&mut self, number: usize) {
        let key = &mut self.keys[number];
        key.finished = None;
        key.calls.abandon();
        key.abandoned = true;
        key.waiting.clear();
        key.retries.clear();
    }

    async fn miss(&mut self, number: usize) {
        let key = &mut self.keys[number];
        if !self.has_deadline || key.missed || key.abandoned {
            return;
        }
        self.backlog.miss(&key.calls);
        key.missed = true;
        for index in std::mem::take(&mut key.waiting) {
            key.misses(index, 0, 0);
        }
        let retries = std::mem::take(&mut key.retries).into_iter();
        for (index, attempts) in retries.chain(std::mem::take(&mut key.paused)) {
            key.misses(index, attempts, attempts);
        }
        // Their calls may be made nevertheless.
        for (index, attempts) in key.reserved.clone().into_iter().chain(key.in_flight.clone()) {
            key.misses(index, attempts + 1, attempts);
        }
        // Pauses are given up.
        for _ in 0..2 {
            tokio::task::yield_now().await;
        }
    }

    fn take(&mut self) {
        if self.idle == 0 {
            return;
        }
        self.idle -= 1;
        match self.backlog.take() {
            Some(in_flight) => {
                let event = &in_flight.event;
                let (number, index) = (key_number(event.keys()), index_of(event));
                let expected = self.taken(number, index);
                self.begun(in_flight, expected, VecDeque::new());
            }
            None => assert_eq!(self.ready(), 0, "an event waits and the caller got none"),
        }
    }

    fn reserve(&mut self, caller: usize) {
        let slot_is_free = self.free_slots() > 0;
        match self.backlog.reserve() {
            Some(reserved) => {
                assert!(
                    !slot_is_free,
                    "a caller in the free slot would have begun it at once"
                );
                let (number, index) = (key_number(reserved.event().keys()), index_of(reserved.event()));
                let expected = self.taken(number, index);
                let key = &mut self.keys[number];
                key.reserved.insert(index, expected.attempts);
                self.callers[caller].reserved.push_back((reserved, expected));
            }
            None => assert!(slot_is_free || self.ready() == 0 || matches!(self.limit, Limit::OnePerKey(_))),
        }
    }

    fn release(&mut self, caller: usize) {
        let Some((reserved, expected)) = self.callers[caller].reserved.pop_back() else {
            return;
        };
        reserved.release();
        let key = &mut self.keys[expected.key];
        key.reserved.remove(&expected.index);
        match expected.attempts {
            _ if key.abandoned || key.missed => {}
            0 => key.waiting.push_front(expected.index),
            attempts => assert_eq!(key.retries.insert(expected.index, attempts), None),
        }
    }

    fn end(&mut self, caller: usize, outcome: Outcome) {
        let Caller {
            in_flight,
            key: number,
            mut reserved,
        } = self.callers.swap_remove(caller);
        let (index, attempts) = (index_of(&in_flight.event), in_flight.attempts + 1);
        let seen = outcome != Outcome::Panic;
        in_flight.event.reconnects.add(1);
        self.backlog
            .ended(in_flight, result(outcome), seen.then_some(LATENCY));
        let key = &mut self.keys[number];
        key.in_flight.remove(&index);
        let may_help = result(outcome).is_err_and(|error| error.may_retry());
        let before = if key.missed {
            assert_eq!(key.ended[&index].outcome, Outcome::Missed, "before it returned");
            None
        } else if may_help && attempts <= self.retries {
            key.paused.insert(index, attempts).map(drop)
        } else {
            let end = End {
                outcome,
                attempts,
                reconnects: attempts,
                has_latency: seen,
            };
            key.ended.insert(index, end).map(drop)
        };
        assert_eq!(before, None, "event {index} has ended before");
        match reserved.pop_front() {
            None => self.idle += 1,
            Some((next, expected)) => {
                let in_flight = next.begin(Instant::now());
                self.keys[expected.key].reserved.remove(&expected.index);
                self.begun(in_flight, expected, reserved);
            }
        }
    }

    async fn wait(&mut self) {
        tokio::time::sleep(AFTER_ALL_PAUSES).await;
        assert_eq!(
            Handle::current().metrics().num_alive_tasks(),
            0,
            "no pause is left"
        );
        for key in &mut self.keys {
            let back = std::mem::take(&mut key.paused);
            if !key.abandoned {
                key.retries.extend(back);
            }
        }
    }

    /// Checks that a taken event was the next of its key, and that no other key starves.
    fn taken(&mut self, number: usize, index: u64) -> Expected {
        let keys = self.keys.len();
        for (other, key) in self.keys.iter_mut().enumerate() {
            if other == number {
                assert!(key.ready(self.limit) > 0, "key {number} may not begin a call");
                key.passed_over = 0;
            } else if key.ready(self.limit) > 0 {
                key.passed_over += 1;
                assert!(key.passed_over < keys, "key {other} starves");
            }
        }
        let key = &mut self.keys[number];
        let attempts = key.retries.remove(&index).unwrap_or_else(|| {
            assert!(key.retries.is_empty(), "retries come first");
            assert_eq!(
                key.waiting.pop_front(),
                Some(index),
                "events begin in the order of their arrival"
            );
            0
        });
        Expected {
            key: number,
            index,
            attempts,
        }
    }

    fn begun(
        &mut self,
        in_flight: InFlight<()>,
        expected: Expected,
        reserved: VecDeque<(Reserved<'a, ()>, Expected)>,
    ) {
        assert_eq!(in_flight.attempts, expected.attempts);
        assert_eq!(index_of(&in_flight.event), expected.index);
        assert_eq!(in_flight.event.payload()[..], expected.index.to_le_bytes());
        assert_eq!(key_number(in_flight.event.keys()), expected.key);
        let key = &mut self.keys[expected.key];
        key.in_flight.insert(expected.index, expected.attempts);
        if !key.missed {
            key.peak = key.peak.max(key.in_flight.len() as u64);
            key.first_attempts += u64::from(expected.attempts == 0);
        }
        self.callers.push(Caller {
            in_flight,
            key: expected.key,
            reserved,
        });
    }

    fn ready(&self) -> usize {
        self.keys.iter().map(|key| key.ready(self.limit)).sum()
    }

    /// Slots without a caller.
    fn free_slots(&self) -> usize {
        let (Limit::Shared(slots) | Limit::OnePerKey(slots)) = self.limit;
        let slots = slots.get();
        slots - self.callers.len() - self.idle
    }

    /// Checks what holds after every step.
    fn check(&mut self) {
        self.idle += self.started.swap(0, Ordering::Relaxed);
        let state = self.backlog.state();
        assert_eq!(state.free_slots, self.free_slots(), "each caller holds one slot");
        let turns = state.turns.len();
        drop(state);
        assert!(turns <= self.keys.len(), "each key has one turn");
        let (Limit::Shared(slots) | Limit::OnePerKey(slots)) = self.limit;
        assert!(self.callers.len() <= slots.get());
        if matches!(self.limit, Limit::OnePerKey(_)) {
            assert!(self.keys.iter().all(|key| key.taken() <= 1), "one of a key");
        }
        assert!(
            self.free_slots() == 0 || self.idle >= self.ready(),
            "no caller comes for an event that waits beside a free slot"
        );
        let in_flight = self.backlog.metrics.calls_in_flight.get();
        assert_eq!(in_flight, self.callers.len() as i64);

        let of_key = |key: &Key| key.waiting.len() + key.retries.len() + key.paused.len();
        let waiting: usize = self.keys.iter().map(of_key).sum();
        let reserved: usize = self.callers.iter().map(|caller| caller.reserved.len()).sum();
        assert_eq!(
            self.room.events_left(),
            self.max_waiting as i64 - (waiting + reserved) as i64,
            "room for each event that waits for an attempt, or pauses before one"
        );
        for key in &mut self.keys {
            key.check();
        }
    }

    /// Closes all keys, ends all calls, and checks that nothing is held.
    async fn end_all(&mut self) {
        for number in 0..self.keys.len() {
            self.close(number);
        }
        self.check();
        for round in 0.. {
            let pauses = self.keys.iter().any(|key| !key.paused.is_empty());
            if self.idle + self.callers.len() == 0 && !pauses {
                break;
            }
            assert!(round < 10_000, "calls that do not end");
            self.step(Step::Wait).await;
            self.step(Step::Take).await;
            self.step(Step::End(0, Outcome::Ok)).await;
        }
        for key in &self.keys {
            assert!(
                key.abandoned || key.ended.len() as u64 == key.added,
                "each event has ended once"
            );
            assert!(key.finished.is_none(), "its tally was ready");
        }
        let state = self.backlog.state();
        assert!(state.turns.is_empty());
        let (Limit::Shared(slots) | Limit::OnePerKey(slots)) = self.limit;
        assert_eq!(state.free_slots, slots.get());
        drop(state);
        assert_eq!(self.room.events_left(), self.max_waiting as i64);
        assert_eq!(Arc::strong_count(self.backlog), 1, "nothing holds the backlog");
        for key in &self.keys {
            assert_eq!(Arc::strong_count(&key.calls), 1, "nothing holds the key");
        }
    }
}

impl Key {
    fn misses(&mut self, index: u64, attempts: u32, reconnects: u32) {
        let end = End {
            outcome: Outcome::Missed,
            attempts,
            reconnects,
            has_latency: false,
        };
        assert_eq!(
            self.ended.insert(index, end),
            None,
            "event {index} has ended before"
        );
    }

    /// Checks that the tally is ready exactly when the key is over, and its values.
    fn check(&mut self) {
        let Some(finished) = &mut self.finished else {
            return;
        };
        let tally = match finished.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Pending => return assert!(!self.is_over(), "it is over, but its tally is not ready"),
            Poll::Ready(tally) => tally,
        };
        assert!(self.is_over(), "its tally is ready, but it is not over");
        self.finished = None;
        let mut outcomes = BTreeMap::new();
        for end in self.ended.values() {
            *outcomes.entry(end.outcome).or_insert(0) += 1;
        }
        let ended = self.ended.iter().map(|(index, end)| (*index, end.outcome));
        assert_eq!(
            *self.answered.0.lock().unwrap(),
            ended.collect(),
            "the aggregate has each answer before the tally is ready"
        );
        assert_eq!(tally.outcomes().into_iter().collect::<BTreeMap<_, _>>(), outcomes);
        let sum = |of: fn(&End) -> u32| self.ended.values().map(|end| u64::from(of(end))).sum::<u64>();
        assert_eq!(
            (tally.attempts, tally.reconnects),
            (sum(|end| end.attempts), sum(|end| end.reconnects))
        );
        assert_eq!(tally.peak_in_flight, self.peak);
        assert_eq!(tally.slot_wait.latencies().count(), self.first_attempts);
        for (is_ok, durations) in [(true, tally.latency), (false, tally.failed_latency)] {
            let of_kind = self
                .ended
                .values()
                .filter(|end| (end.outcome == Outcome::Ok) == is_ok);
            let seen = of_kind.filter(|end| end.has_latency).count() as u64;
            let latency = durations.latencies();
            assert_eq!(latency.count(), seen);
            assert_eq!(latency.max(), (seen > 0).then_some(LATENCY));
        }
    }
}

fn key_number(keys: &[String]) -> usize {
    keys[0].strip_prefix("key-").unwrap().parse().unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_wait_for_a_slot_counts_from_when_the_call_might_begin() {
    let started = Arc::new(AtomicUsize::new(0));
    let strategy = Box::new(Starts(Arc::clone(&started)));
    let backlog = Backlog::new(strategy, Limit::Shared(some(1)), retry(0), metrics());
    let backlog = Arc::new(backlog);
    let room = Arc::new(Room::new(1, u64::MAX));
    let calls = Arc::new(KeyCalls::new(place_of(&["key-0"]), None, room));
    // Arrives 70 ms before its key is open, waits 50 ms for its slot.
    backlog.add(&calls, waiting(&calls, 0));
    tokio::time::advance(millis(70)).await;
    assert_eq!(started.load(Ordering::Relaxed), 0, "its key is not open");
    backlog.open(&calls);
    assert_eq!(started.load(Ordering::Relaxed), 1);
    tokio::time::advance(millis(50)).await;
    let first = backlog.take().unwrap();
    // Arrives while the slot is taken, and waits 30 ms.
    tokio::time::advance(millis(10)).await;
    backlog.add(&calls, waiting(&calls, 1));
    tokio::time::advance(millis(30)).await;
    assert_eq!(started.load(Ordering::Relaxed), 1, "no slot is free");
    backlog.ended(first, Ok(()), Some(millis(40)));
    let second = backlog.take().unwrap();
    backlog.ended(second, Ok(()), None);
    let waits = soon(calls.finished()).await.slot_wait.latencies();
    assert_eq!(waits.count(), 2);
    assert_about(waits.quantile(0.5), millis(30));
    assert_about(waits.max(), millis(50));
}
