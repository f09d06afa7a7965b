use std::cmp::Reverse;
use std::collections::BinaryHeap;

use proptest::prelude::*;
use wire::Delay;

use super::*;

fn number(number: u32) -> NonZeroU32 {
    NonZeroU32::new(number).unwrap()
}

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A service that answers `capacity` calls at once, each within the delay that its dice give, by a clock of its own.
struct Service {
    delay: Delay,
    capacity: usize,
    dice: u64,
}

impl Service {
    fn new(delay: &str, capacity: usize, seed: u64) -> Self {
        Self {
            delay: delay.parse().unwrap(),
            capacity,
            dice: seed,
        }
    }

    fn delay(&mut self) -> Duration {
        self.dice = self.dice.wrapping_add(1);
        let fraction = wire::splitmix64(1, self.dice) as f64 / u64::MAX as f64;
        self.delay.quantile(fraction)
    }

    /// Makes all calls of a probe; returns what was seen, how many were in flight at most, and how long it took.
    fn probe(mut self, calls: u32, concurrency: u32) -> (Seen, usize, Duration) {
        let mut probe = Probe::new(number(calls), number(concurrency));
        let mut free = BinaryHeap::from(vec![Reverse(Duration::ZERO); self.capacity]);
        let mut ends: BinaryHeap<Reverse<(Duration, u64)>> = BinaryHeap::new();
        let mut begun = Vec::new();
        let (mut now, mut most) = (Duration::ZERO, 0);
        loop {
            while let Some(call) = probe.begin() {
                let Reverse(idle) = free.pop().unwrap();
                let end = idle.max(now) + self.delay();
                free.push(Reverse(end));
                ends.push(Reverse((end, begun.len() as u64)));
                begun.push((call, now));
            }
            most = most.max(ends.len());
            let Some(Reverse((end, index))) = ends.pop() else {
                return (probe.seen(), most, now);
            };
            now = end;
            let (call, start) = &begun[index as usize];
            probe.ended(call, Ended::Answered(200, end - *start));
        }
    }
}

#[test]
fn a_service_with_room_gets_all_calls() {
    let (seen, most, took) = Service::new("20ms", 1_000, 1).probe(1_000, 64);
    assert_eq!((seen.calls, seen.failures, seen.stop.clone()), (1_000, 0, None));
    assert_eq!((most, seen.in_flight), (64, 64));
    assert_eq!(seen.latencies.count(), 1_000);
    let longest = Probe::new(number(1_000), number(64)).longest(millis(20));
    assert!(took <= longest, "{took:?} {longest:?}");
    assert_eq!(
        seen.sentences(),
        [
            "latency of 1,000 calls: p50 20.0 ms, p99 20.0 ms",
            "it bears at least 64 in flight: more were not tried"
        ]
    );
    let learned = seen.learned("http://s").unwrap();
    assert!(
        matches!(learned.delay(), Some(Delay::Percentiles(_))),
        "{learned:?}"
    );
}

#[test]
fn a_small_service_is_left_alone_when_it_is_twice_as_slow() {
    let (seen, most, _) = Service::new("20ms", 4, 1).probe(1_000, 64);
    assert_eq!(
        seen.stop,
        Some(Stop::Slower {
            first: millis(20),
            latest: millis(40)
        })
    );
    assert_eq!(most, 8, "twice what it has room for, and no more");
    assert!(seen.calls < 250, "{}", seen.calls);
    assert_eq!(seen.in_flight, 4);
    assert_eq!(
        seen.latencies.max(),
        Some(Duration::from_micros(20_015)),
        "without a wait"
    );
    let sentences = seen.sentences();
    assert!(
        sentences[0].starts_with("stopped after ")
            && sentences[0]
                .ends_with("calls: the median latency was 40.0 ms after 20.0 ms for the first calls"),
        "{sentences:?}"
    );
    assert!(
        sentences[1].ends_with("p99 not known, which takes 1,000 calls"),
        "{sentences:?}"
    );
    assert_eq!(sentences[2], "it bears at least 4 in flight");
}

#[test]
fn what_was_slower_without_a_stop_is_said() {
    // Three wait for two: 30 ms.
    let (seen, most, _) = Service::new("uniform(15ms,25ms)", 2, 1).probe(200, 3);
    assert_eq!((seen.stop.clone(), most, seen.in_flight), (None, 3, 2));
    let last = seen.sentences().pop().unwrap();
    assert!(
        last.starts_with("it bears at least 2 in flight: with 3 the median latency was "),
        "{last}"
    );
}

#[test]
fn five_failures_stop_it_and_four_do_not() {
    for (failures, stopped) in [(4, false), (5, true)] {
        let mut probe = Probe::new(number(100), number(3));
        for index in 0..100 {
            let Some(call) = probe.begin() else { break };
            let ended = match index % 3 == 0 && index / 3 < failures {
                true => Ended::Answered(500, millis(1)),
                false => Ended::Answered(204, millis(1)),
            };
            probe.ended(&call, ended);
        }
        let seen = probe.seen();
        let stop = stopped.then(|| Stop::Failures("status 500".to_owned()));
        assert_eq!((seen.stop, seen.failures), (stop, failures));
        assert_eq!(seen.calls, if stopped { 13 } else { 100 });
    }
}

#[test]
fn the_first_refusal_stops_it_and_another_status_does_not() {
    for status in [429, 503, 502, 404, 302] {
        let mut probe = Probe::new(number(50), number(1));
        for index in 0..50 {
            let Some(call) = probe.begin() else { break };
            let status = if index == 7 { status } else { 200 };
            probe.ended(&call, Ended::Answered(status, millis(1)));
        }
        let seen = probe.seen();
        let refused = matches!(status, 429 | 503);
        assert_eq!(seen.stop, refused.then_some(Stop::TooMany(status)));
        assert_eq!(seen.calls, if refused { 8 } else { 50 }, "{status}");
        assert_eq!(seen.failures, 1);
    }
}

#[test]
fn nothing_is_learned_of_a_service_that_never_answers() {
    let mut probe = Probe::new(number(50), number(8));
    while let Some(call) = probe.begin() {
        probe.ended(&call, Ended::Failed("connection refused".to_owned()));
    }
    let seen = probe.seen();
    assert_eq!((seen.calls, seen.in_flight), (5, 0));
    assert_eq!(seen.learned("http://s"), None);
    assert_eq!(
        seen.sentences(),
        [
            "stopped after 5 calls: 5 calls failed, the last one with: connection refused",
            "5 calls failed"
        ]
    );
}

#[test]
fn calls_that_are_all_slow_from_the_first_are_no_slowdown_but_a_later_one_is() {
    let mut probe = Probe::new(number(100), number(1));
    let mut made = 0;
    while let Some(call) = probe.begin() {
        made += 1;
        let latency = if made <= 60 { millis(10) } else { millis(20) };
        probe.ended(&call, Ended::Answered(200, latency));
    }
    let seen = probe.seen();
    assert!(matches!(seen.stop, Some(Stop::Slower { .. })), "{seen:?}");
    // More than half of the last 25 calls.
    assert_eq!((seen.calls, seen.in_flight), (73, 1));
    assert_eq!(seen.latencies.count(), 25, "the first ones");
}

proptest! {
    #[test]
    fn no_probe_makes_more_calls_than_it_may_or_more_at_once(
        calls in 1u32..2_000,
        concurrency in 1u32..200,
        capacity in 1usize..300,
        seed: u64,
    ) {
        let (seen, most, took) = Service::new("uniform(10ms,20ms)", capacity, seed).probe(calls, concurrency);
        prop_assert!(seen.calls <= calls && most <= concurrency as usize);
        prop_assert!(seen.stop.is_some() || seen.calls == calls);
        prop_assert!(seen.in_flight <= concurrency && seen.in_flight >= 1);
        let wait = Duration::from_millis(20) * (concurrency / capacity as u32 + 1);
        prop_assert!(took <= Probe::new(number(calls), number(concurrency)).longest(wait));
    }
}

/// A long tail must not be taken for a slowdown.
#[test]
fn a_lognormal_service_with_room_is_rarely_stopped() {
    let stopped = (0..200)
        .filter(|seed| {
            let service = Service::new("lognormal(50=80ms,99=400ms)", 1_000, seed * 10_000);
            service.probe(1_000, 32).0.stop.is_some()
        })
        .count();
    assert!(stopped <= 4, "{stopped} of 200");
}
