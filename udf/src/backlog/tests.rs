//! The backlog under random sequences of what intakes, callers and the clock do, beside a model that says what must
//! come of each step.

use std::collections::{BTreeMap, VecDeque};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

use proptest::prelude::{Just, ProptestConfig, any, prop_oneof, proptest};
use proptest::strategy::Strategy as Generates;
use tokio::sync::Semaphore;

use super::*;
use crate::fixtures::{assert_about, metrics, millis, some, soon, waiting};
use crate::tally::Tally;

/// What each attempt is said to have taken: a time that a histogram holds exactly.
const LATENCY: Duration = Duration::from_millis(1);

/// Longer than any pause before another attempt.
const AFTER_ALL_PAUSES: Duration = Duration::from_secs(6);

/// One step; numbers choose among the keys and callers that there are.
#[derive(Debug, Clone, Copy)]
enum Step {
    /// An event of a key arrives, where one may wait.
    Add(usize),
    /// The calls of a key may begin.
    Open(usize),
    /// The input of a key ends, and something waits for what comes of its calls.
    Close(usize),
    /// The window of a key is dropped.
    Abandon(usize),
    /// A caller with a slot and no call takes an event.
    Take,
    /// A caller with a call reserves another event.
    Reserve(usize),
    /// A caller releases what it reserved last.
    Release(usize),
    /// The call of a caller ends; the next that it has reserved begins.
    End(usize, Outcome),
    /// All pauses before another attempt pass.
    Wait,
}

fn steps() -> impl Generates<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => any::<usize>().prop_map(Step::Add),
        2 => any::<usize>().prop_map(Step::Open),
        1 => any::<usize>().prop_map(Step::Close),
        1 => any::<usize>().prop_map(Step::Abandon),
        6 => Just(Step::Take),
        3 => any::<usize>().prop_map(Step::Reserve),
        1 => any::<usize>().prop_map(Step::Release),
        5 => (any::<usize>(), proptest::sample::select(Outcome::ALL.to_vec()))
            .prop_map(|(caller, outcome)| Step::End(caller, outcome)),
        1 => Just(Step::Wait),
    ];
    proptest::collection::vec(step, 1..150)
}

fn orders() -> impl Generates<Value = Order> {
    prop_oneof![
        3 => (1usize..5).prop_map(|slots| Order::AtOnce(some(slots))),
        1 => Just(Order::OneByOne),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]
    #[test]
    fn in_any_sequence_slots_turns_and_places_are_kept(
        order in orders(),
        keys in 1usize..5,
        max_waiting in 1usize..8,
        retries in 0u32..3,
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
            let backlog = Arc::new(Backlog::new(strategy, order, Retry::new(retries), metrics()));
            let mut world = World::new(&backlog, started, keys, max_waiting, retries);
            for step in steps {
                world.step(step).await;
            }
            world.end_all().await;
        });
    }
}

/// Counts the callers that the backlog starts.
struct Starts(Arc<AtomicUsize>);

impl Strategy for Starts {
    fn start(&self, _: &Arc<Backlog>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// The backlog, its users, and the model.
struct World<'a> {
    backlog: &'a Arc<Backlog>,
    order: Order,
    retries: u32,
    max_waiting: usize,
    places: Arc<Semaphore>,
    started: Arc<AtomicUsize>,
    /// Callers with a slot and no call.
    idle: usize,
    callers: Vec<Caller<'a>>,
    keys: Vec<Key>,
    next_index: u64,
}

/// A caller with a call in flight.
struct Caller<'a> {
    begun: Begun,
    key: usize,
    reserved: VecDeque<(Reserved<'a>, Expected)>,
}

/// An event that was taken: whose, which, and after how many attempts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Expected {
    key: usize,
    index: u64,
    attempts: u32,
}

/// A key in the model.
struct Key {
    calls: Arc<KeyCalls>,
    finished: Option<Pin<Box<dyn Future<Output = Tally>>>>,
    open: bool,
    closed: bool,
    abandoned: bool,
    waiting: VecDeque<u64>,
    /// Those whose pause is over, with their attempts; pauses vary, and so does the order.
    again: BTreeMap<u64, u32>,
    paused: BTreeMap<u64, u32>,
    /// Reserved.
    reserved: usize,
    in_flight: usize,
    peak: u64,
    added: u64,
    first_attempts: u64,
    /// What each event came to, its attempts, and whether its end was seen.
    ended: BTreeMap<u64, (Outcome, u32, bool)>,
    /// Events of other keys that were taken while one of this key might have been.
    passed_over: usize,
}

impl Key {
    fn new(number: usize, places: &Arc<Semaphore>) -> Self {
        let keys = Arc::from([format!("key-{number}")]);
        Self {
            calls: Arc::new(KeyCalls::new(keys, Arc::clone(places))),
            finished: None,
            open: false,
            closed: false,
            abandoned: false,
            waiting: VecDeque::new(),
            again: BTreeMap::new(),
            paused: BTreeMap::new(),
            reserved: 0,
            in_flight: 0,
            peak: 0,
            added: 0,
            first_attempts: 0,
            ended: BTreeMap::new(),
            passed_over: 0,
        }
    }

    fn taken(&self) -> usize {
        self.reserved + self.in_flight + self.paused.len()
    }

    fn may_begin(&self, order: Order) -> usize {
        let waiting = self.waiting.len() + self.again.len();
        match order {
            _ if !self.open || self.abandoned => 0,
            Order::AtOnce(_) => waiting,
            Order::OneByOne => usize::from(waiting > 0 && self.taken() == 0),
        }
    }

    fn is_over(&self) -> bool {
        self.closed && self.waiting.is_empty() && self.again.is_empty() && self.taken() == 0
    }
}

impl<'a> World<'a> {
    fn new(
        backlog: &'a Arc<Backlog>,
        started: Arc<AtomicUsize>,
        keys: usize,
        max_waiting: usize,
        retries: u32,
    ) -> Self {
        let places = Arc::new(Semaphore::new(max_waiting));
        Self {
            order: backlog.order,
            backlog,
            retries,
            max_waiting,
            keys: (0..keys).map(|number| Key::new(number, &places)).collect(),
            places,
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
        let Ok(place) = self.places.try_acquire() else {
            return;
        };
        place.forget();
        self.backlog.add(&key.calls, waiting(&key.calls, self.next_index));
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
        key.again.clear();
    }

    fn take(&mut self) {
        if self.idle == 0 {
            return;
        }
        self.idle -= 1;
        match self.backlog.take() {
            Some(begun) => {
                let (number, index) = (key_number(&begun.event.keys), begun.event.id.index);
                let expected = self.taken(number, index);
                self.begun(begun, expected, VecDeque::new());
            }
            None => assert_eq!(self.may_begin(), 0, "an event waits and the caller got none"),
        }
    }

    fn reserve(&mut self, caller: usize) {
        let slot_is_free = self.free() > 0;
        match self.backlog.reserve() {
            Some(reserved) => {
                assert!(!slot_is_free, "a free slot would have begun it at once");
                let (keys, id, _) = reserved.event();
                let expected = self.taken(key_number(keys), id.index);
                self.keys[expected.key].reserved += 1;
                self.callers[caller].reserved.push_back((reserved, expected));
            }
            None => assert!(slot_is_free || self.may_begin() == 0),
        }
    }

    fn release(&mut self, caller: usize) {
        let Some((reserved, expected)) = self.callers[caller].reserved.pop_back() else {
            return;
        };
        reserved.release();
        let key = &mut self.keys[expected.key];
        key.reserved -= 1;
        match expected.attempts {
            _ if key.abandoned => {}
            0 => key.waiting.push_front(expected.index),
            attempts => assert_eq!(key.again.insert(expected.index, attempts), None),
        }
    }

    fn end(&mut self, caller: usize, outcome: Outcome) {
        let Caller {
            begun,
            key: number,
            mut reserved,
        } = self.callers.swap_remove(caller);
        let (index, attempts) = (begun.event.id.index, begun.attempts + 1);
        let seen = outcome != Outcome::Panic;
        self.backlog.ended(begun, outcome, seen.then_some(LATENCY));
        let key = &mut self.keys[number];
        key.in_flight -= 1;
        let may_help = !matches!(outcome, Outcome::Ok | Outcome::Panic);
        let before = if may_help && attempts <= self.retries {
            key.paused.insert(index, attempts).map(drop)
        } else {
            key.ended.insert(index, (outcome, attempts, seen)).map(drop)
        };
        assert_eq!(before, None, "event {index} has ended before");
        match reserved.pop_front() {
            None => self.idle += 1,
            Some((next, expected)) => {
                let begun = next.begin(Instant::now());
                self.keys[expected.key].reserved -= 1;
                self.begun(begun, expected, reserved);
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
                key.again.extend(back);
            }
        }
    }

    /// An event of a key was taken: it must be the next of its key, and the key's turn.
    fn taken(&mut self, number: usize, index: u64) -> Expected {
        let keys = self.keys.len();
        for (other, key) in self.keys.iter_mut().enumerate() {
            if other == number {
                assert!(key.may_begin(self.order) > 0, "key {number} may not begin a call");
                key.passed_over = 0;
            } else if key.may_begin(self.order) > 0 {
                key.passed_over += 1;
                assert!(key.passed_over < keys, "key {other} starves");
            }
        }
        let key = &mut self.keys[number];
        let attempts = key.again.remove(&index).unwrap_or_else(|| {
            assert!(key.again.is_empty(), "those attempted before come first");
            assert_eq!(key.waiting.pop_front(), Some(index), "events begin as they came");
            0
        });
        Expected {
            key: number,
            index,
            attempts,
        }
    }

    fn begun(&mut self, begun: Begun, expected: Expected, reserved: VecDeque<(Reserved<'a>, Expected)>) {
        assert_eq!(begun.attempts, expected.attempts);
        assert_eq!(begun.event.id.index, expected.index);
        assert_eq!(begun.event.payload, expected.index.to_le_bytes());
        assert_eq!(key_number(&begun.event.keys), expected.key);
        let key = &mut self.keys[expected.key];
        key.in_flight += 1;
        key.peak = key.peak.max(key.in_flight as u64);
        key.first_attempts += u64::from(expected.attempts == 0);
        self.callers.push(Caller {
            begun,
            key: expected.key,
            reserved,
        });
    }

    fn may_begin(&self) -> usize {
        self.keys.iter().map(|key| key.may_begin(self.order)).sum()
    }

    /// Slots that no caller holds.
    fn free(&self) -> usize {
        let slots = match self.order {
            Order::AtOnce(slots) => slots.get(),
            Order::OneByOne => usize::MAX,
        };
        slots - self.callers.len() - self.idle
    }

    /// What holds after every step.
    fn check(&mut self) {
        self.idle += self.started.swap(0, Ordering::Relaxed);
        let state = self.backlog.state();
        assert_eq!(state.free, self.free(), "each caller holds one slot");
        let turns = state.turns.len();
        drop(state);
        assert!(turns <= self.keys.len(), "each key has one turn");
        match self.order {
            Order::AtOnce(slots) => {
                assert!(self.callers.len() <= slots.get());
            }
            Order::OneByOne => {
                assert!(self.keys.iter().all(|key| key.taken() <= 1), "one of a key");
            }
        }
        assert!(
            self.free() == 0 || self.idle >= self.may_begin(),
            "no caller comes for an event that waits beside a free slot"
        );
        let in_flight = self.backlog.metrics.calls_in_flight.get();
        assert_eq!(in_flight, self.callers.len() as i64);

        let waiting: usize = self.keys.iter().map(|key| key.waiting.len()).sum();
        let reserved = self.callers.iter().flat_map(|caller| &caller.reserved);
        let first_reserved = reserved.filter(|(_, expected)| expected.attempts == 0).count();
        assert_eq!(
            self.places.available_permits(),
            self.max_waiting - waiting - first_reserved,
            "a place for each event that has not begun"
        );
        for key in &mut self.keys {
            key.check();
        }
    }

    /// Closes all keys, ends all calls, and looks at what is left.
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
                "each event has ended, and once"
            );
            assert!(key.finished.is_none(), "it is known to be over");
        }
        let state = self.backlog.state();
        assert!(state.turns.is_empty());
        match self.order {
            Order::AtOnce(slots) => assert_eq!(state.free, slots.get()),
            Order::OneByOne => assert_eq!(state.free, usize::MAX),
        }
        drop(state);
        assert_eq!(self.places.available_permits(), self.max_waiting);
        assert_eq!(Arc::strong_count(self.backlog), 1, "nothing holds the backlog");
        for key in &self.keys {
            assert_eq!(Arc::strong_count(&key.calls), 1, "nothing holds the key");
        }
    }
}

impl Key {
    /// What the key is known to be: over with this tally, or not over.
    fn check(&mut self) {
        let Some(finished) = &mut self.finished else {
            return;
        };
        let tally = match finished.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Pending => return assert!(!self.is_over(), "it is over and nobody knows"),
            Poll::Ready(tally) => tally,
        };
        assert!(self.is_over(), "it is not over");
        self.finished = None;
        let mut outcomes = BTreeMap::new();
        for (outcome, ..) in self.ended.values() {
            *outcomes.entry(*outcome).or_insert(0) += 1;
        }
        assert_eq!(tally.outcomes().into_iter().collect::<BTreeMap<_, _>>(), outcomes);
        let attempts = self.ended.values().map(|(_, attempts, _)| u64::from(*attempts));
        assert_eq!(tally.attempts, attempts.sum::<u64>());
        assert_eq!(tally.peak_in_flight, self.peak);
        assert_eq!(tally.slot_wait.latencies().count(), self.first_attempts);
        let seen = self.ended.values().filter(|(.., seen)| *seen).count() as u64;
        let latency = tally.latency.latencies();
        assert_eq!(latency.count(), seen);
        assert_eq!(latency.max(), (seen > 0).then_some(LATENCY));
    }
}

fn key_number(keys: &[String]) -> usize {
    keys[0].strip_prefix("key-").unwrap().parse().unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_wait_for_a_slot_counts_from_when_the_call_might_begin() {
    let started = Arc::new(AtomicUsize::new(0));
    let strategy = Box::new(Starts(Arc::clone(&started)));
    let backlog = Backlog::new(strategy, Order::AtOnce(some(1)), Retry::new(0), metrics());
    let backlog = Arc::new(backlog);
    let places = Arc::new(Semaphore::new(0));
    let calls = Arc::new(KeyCalls::new(Arc::from(["key-0".to_owned()]), places));
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
    backlog.ended(first, Outcome::Ok, Some(millis(40)));
    let second = backlog.take().unwrap();
    backlog.ended(second, Outcome::Ok, None);
    let waits = soon(calls.finished()).await.slot_wait.latencies();
    assert_eq!(waits.count(), 2);
    assert_about(waits.quantile(0.5), millis(30));
    assert_about(waits.max(), millis(50));
}
