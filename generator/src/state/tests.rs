//! The state with a reader that stalls, puts events back, acks late and reaches the bound.

use super::*;
use proptest::prelude::*;
use std::num::NonZeroU64;

const SECOND: u64 = 1_000_000_000;

fn state(rpu: Option<u64>, count: Option<u64>) -> State {
    let rate = rpu.map(|rpu| Rate(NonZeroU64::new(rpu).unwrap()));
    let keys = Keys::new(NonZeroU64::new(2).unwrap(), 0.0, 0, true);
    State::new(
        Plan {
            rate,
            count,
            align: None,
            hold: false,
        },
        keys,
        Duration::from_secs(10),
    )
}

fn sent(state: &mut State, now_ns: u64) -> Vec<u64> {
    std::iter::from_fn(|| match state.next(now_ns, now_ns) {
        Next::Send(drawn) => Some(drawn.index),
        _ => None,
    })
    .collect()
}

#[test]
fn a_reader_that_stalls_gets_everything_late_and_counted() {
    let mut state = state(Some(10), None);
    let t0 = 1_000 * SECOND;
    assert_eq!(sent(&mut state, t0), [0]);
    assert_eq!(state.next(t0, t0), Next::DueAt(t0 + SECOND / 10));
    assert_eq!(state.counts(t0 + SECOND).pending, Some(10));
    assert_eq!(sent(&mut state, t0 + SECOND), (1..=10).collect::<Vec<_>>());
    let counts = state.counts(t0 + SECOND);
    assert_eq!(
        (counts.offered, counts.sent, counts.overdue),
        (11, 11, 9),
        "the last was on time"
    );
    assert_eq!(counts.pending, Some(0), "events of the future are not pending");
}

#[test]
fn put_back_events_come_first_and_as_they_were() {
    let mut state = state(Some(1_000), Some(5));
    let first: Vec<Next> = (0..5).map(|_| state.next(SECOND, SECOND)).take(1).collect();
    assert_eq!(sent(&mut state, 2 * SECOND), [1, 2, 3, 4]);
    assert!(state.ack(2) && !state.ack(2) && !state.ack(17));
    assert!(state.nack(3) && state.nack(0) && !state.nack(3) && !state.nack(2));
    assert_eq!(state.counts(2 * SECOND).pending, Some(2));
    assert_eq!(state.next(3 * SECOND, 3 * SECOND), first[0]);
    assert!(state.ack(3), "an ack of a put back event is an ack");
    assert_eq!(state.next(3 * SECOND, 3 * SECOND), Next::Finished);
    let counts = state.counts(3 * SECOND);
    assert_eq!(
        (counts.sent, counts.acked, counts.nacked, counts.pending),
        (5, 2, 2, Some(0))
    );
}

#[test]
fn at_the_bound_nothing_new_is_sent_until_an_ack() {
    let mut state = state(None, None);
    assert_eq!(sent(&mut state, SECOND).len(), MAX_UNACKED);
    assert_eq!(state.next(SECOND, SECOND), Next::Full);
    assert!(state.nack(5));
    assert!(matches!(state.next(SECOND, SECOND), Next::Send(drawn) if drawn.index == 5));
    assert_eq!(state.next(SECOND, SECOND), Next::Full);
    assert!(state.ack(5));
    assert!(matches!(state.next(SECOND, SECOND), Next::Send(drawn) if drawn.index == MAX_UNACKED as u64));
    assert_eq!(state.counts(SECOND).pending, None, "there is no end to them");
}

#[test]
fn a_schedule_that_waits_offers_nothing_before_its_start() {
    for rpu in [Some(10), None] {
        let mut state = state(rpu, Some(5));
        state.plan.hold = true;
        assert_eq!(state.next(SECOND, SECOND), Next::Held);
        let counts = state.counts(5 * SECOND);
        assert_eq!((counts.offered, counts.pending), (0, Some(0)), "{rpu:?}");
        assert_eq!(state.stats(1, 5 * SECOND).t0_us, None);
        state.start();
        assert!(
            matches!(state.next(7 * SECOND, 7 * SECOND), Next::Send(drawn) if drawn.time_ns == 7 * SECOND)
        );
        state.start();
        assert_eq!(
            state.stats(1, 8 * SECOND).t0_us,
            Some(7_000_000),
            "a second start changes nothing"
        );
    }
}

proptest! {
    #[test]
    fn nothing_is_lost_or_early(rpu in 1u64..5_000, steps in proptest::collection::vec((0u64..300_000_000, 0u8..4), 1..40)) {
        let mut state = state(Some(rpu), Some(200));
        let mut now = 1_000 * SECOND;
        let (mut open, mut acked) = (std::collections::BTreeSet::new(), 0u64);
        for (wait, action) in steps {
            now += wait;
            for _ in 0..20 {
                if let Next::Send(drawn) = state.next(now, now) {
                    prop_assert!(drawn.time_ns <= now);
                    prop_assert!(open.insert(drawn.index));
                }
            }
            for index in open.iter().copied().step_by(2).collect::<Vec<u64>>() {
                if action == 1 {
                    prop_assert!(state.ack(index));
                    acked += 1;
                } else if action == 2 {
                    prop_assert!(state.nack(index));
                }
                if action == 1 || action == 2 {
                    open.remove(&index);
                }
            }
            let counts = state.counts(now);
            prop_assert_eq!(counts.acked, acked);
            prop_assert_eq!(counts.sent + counts.pending.unwrap_or(0), counts.offered + state.put_back.len() as u64);
            prop_assert_eq!(counts.sent, counts.acked + (state.unacked.len() + state.put_back.len()) as u64);
        }
    }
}
