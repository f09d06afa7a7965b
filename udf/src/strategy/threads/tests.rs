//! Threads synchronised by barriers and channels, so that a test knows the state of each.

use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};

use crossbeam_channel::{Receiver, Sender, bounded, unbounded};
use wire::StrategyKind;

use super::*;
use crate::call::Call;
use crate::call_error::CallError;
use crate::event::Event;
use crate::fixtures::{OpenKey, PATIENCE, deadline, index_of, some, spec};
use crate::strategy::{StrategySpec, build};
use crate::tally::Tally;

/// A call that reports its start and ends when the test lets it; event 13 panics.
struct Gated {
    begun: Sender<u64>,
    go: Receiver<()>,
    in_flight: AtomicUsize,
    peak: AtomicUsize,
}

/// The test's end of a gate.
struct Gate {
    begun: Receiver<u64>,
    go: Sender<()>,
    call: Arc<Gated>,
}

impl Gate {
    /// The next events whose calls begin, in order of their index.
    fn begun(&self, count: usize) -> Vec<u64> {
        let next = || self.begun.recv_timeout(PATIENCE).unwrap();
        let mut begun: Vec<_> = std::iter::repeat_with(next).take(count).collect();
        begun.sort_unstable();
        begun
    }
}

fn gate() -> Gate {
    let ((began, begun), (go, gone)) = (unbounded(), unbounded());
    Gate {
        begun,
        go,
        call: Arc::new(Gated {
            begun: began,
            go: gone,
            in_flight: AtomicUsize::new(0),
            peak: AtomicUsize::new(0),
        }),
    }
}

impl Call for Gated {
    type Answer = ();

    async fn call(&self, _event: &Event) -> Result<(), CallError> {
        unreachable!("threads make the blocking call")
    }
}

impl BlockingCall for Gated {
    type Answer = ();

    fn call_blocking(&self, event: &Event) -> Result<(), CallError> {
        let in_flight = self.in_flight.fetch_add(1, Ordering::SeqCst) + 1;
        self.peak.fetch_max(in_flight, Ordering::SeqCst);
        let _ = self.begun.send(index_of(event));
        let _ = self.go.recv();
        self.in_flight.fetch_sub(1, Ordering::SeqCst);
        assert_ne!(index_of(event), 13, "on purpose");
        Ok(())
    }
}

fn threads<C: Call<Answer = ()> + BlockingCall<Answer = ()>>(call: &Arc<C>) -> Arc<Backlog<()>> {
    let kind = StrategyKind::ThreadPool;
    build(StrategySpec { kind, ..spec(call) }).unwrap()
}

#[tokio::test]
async fn each_thread_makes_one_call_at_once_and_outlives_a_panic() {
    let gate = gate();
    let backlog = threads(&gate.call);
    let key = OpenKey::new(&backlog);
    key.add(&backlog, 0..20);
    assert_eq!(
        gate.begun(3),
        [0, 1, 2],
        "events begin in the order of their arrival"
    );
    assert_eq!(
        gate.begun.try_recv().ok(),
        None,
        "three threads wait in their calls"
    );
    (0..20).for_each(|_| gate.go.send(()).unwrap());
    let tally = key.finished().await;
    let outcomes: Vec<_> = tally.outcomes().into_iter().collect();
    assert_eq!(outcomes, [(Outcome::Ok, 19), (Outcome::Panic, 1)]);
    assert_eq!((tally.attempts, tally.peak_in_flight), (20, 3));
    let timed = [tally.latency, tally.failed_latency].map(|durations| durations.latencies().count());
    assert_eq!(timed, [19, 1], "of the panic too");
    assert_eq!(gate.call.peak.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn an_abandoned_key_begins_no_further_calls() {
    let gate = gate();
    let backlog = threads(&gate.call);
    let (key, other) = (OpenKey::new(&backlog), OpenKey::new(&backlog));
    key.add(&backlog, 0..10);
    assert_eq!(gate.begun(3), [0, 1, 2]);
    key.calls.abandon();
    assert_eq!(key.room.events_left(), 1_000);
    other.add(&backlog, [100, 101]);
    (0..5).for_each(|_| gate.go.send(()).unwrap());
    let tally = other.finished().await;
    assert_eq!(tally.attempts, 2);
    assert_eq!(gate.begun(2), [100, 101]);
    assert_eq!(gate.begun.try_recv().ok(), None);
}

#[tokio::test]
async fn a_thread_keeps_its_slot_until_a_missed_call_returns_and_its_answer_goes_nowhere() {
    let gate = gate();
    let backlog = threads(&gate.call);
    let key = OpenKey::with_deadline(&backlog, Some(&deadline(0)));
    let next = OpenKey::with_deadline(&backlog, Some(&deadline(0)));
    key.add(&backlog, 0..5);
    assert_eq!(gate.begun(3), [0, 1, 2]);
    backlog.miss(&key.calls);
    let tally = key.finished().await;
    let outcomes = |tally: &Tally| tally.outcomes().into_iter().collect::<Vec<_>>();
    assert_eq!(
        outcomes(&tally),
        [(Outcome::Missed, 5)],
        "while three calls are under way"
    );
    assert_eq!((tally.attempts, tally.peak_in_flight), (3, 3));
    assert_eq!(key.room.events_left(), 1_000);

    next.add(&backlog, [100, 101]);
    assert_eq!(gate.begun.try_recv().ok(), None, "no slot is free");
    gate.go.send(()).unwrap();
    assert_eq!(gate.begun(1), [100], "in the slot of the call that has returned");
    (0..4).for_each(|_| gate.go.send(()).unwrap());
    let tally = next.finished().await;
    assert_eq!(
        outcomes(&tally),
        [(Outcome::Ok, 2)],
        "late answers are not its own"
    );
    assert_eq!(tally.attempts, 2);
    assert_eq!(gate.call.peak.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn threads_end_with_the_backlog_and_their_call() {
    /// Reports when it is dropped, which is when the last thread has ended.
    struct Dropped(Barrier, Sender<()>);
    impl Drop for Dropped {
        fn drop(&mut self) {
            let _ = self.1.send(());
        }
    }
    impl Call for Dropped {
        type Answer = ();
        async fn call(&self, _event: &Event) -> Result<(), CallError> {
            unreachable!("threads make the blocking call")
        }
    }
    impl BlockingCall for Dropped {
        type Answer = ();
        fn call_blocking(&self, _event: &Event) -> Result<(), CallError> {
            self.0.wait();
            Ok(())
        }
    }
    let (dropped, ended) = bounded(1);
    let backlog = threads(&Arc::new(Dropped(Barrier::new(3), dropped)));
    let key = OpenKey::new(&backlog);
    key.add(&backlog, 0..3);
    let tally = key.finished().await;
    assert_eq!(tally.peak_in_flight, 3, "the barrier needs all three");
    drop((key, backlog));
    assert_eq!(ended.recv_timeout(PATIENCE), Ok(()));
}

#[test]
fn as_many_threads_start_as_there_are_workers() {
    let gate = gate();
    let pool = Threads::start(
        Arc::clone(&gate.call) as Arc<dyn BlockingCall<Answer = ()>>,
        some(5),
    )
    .unwrap();
    assert_eq!(Arc::strong_count(&gate.call), 1 + 5, "each has the call");
    drop(pool);
}
