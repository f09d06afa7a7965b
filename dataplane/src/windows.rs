//! Which window an event belongs to, when windows close and what is dropped: Numaflow's rules without any I/O.
//! The caller keeps Numaflow's order: watermark, drop checks, closes, assignment.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::config::millis;

/// A fixed window: `[start, end)` in milliseconds since the Unix epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Span {
    pub start_ms: u64,
    pub end_ms: u64,
}

/// Why the reduce vertex dropped a message; the names are the reasons of Numaflow's metric `forwarder_drop_total`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DropReason {
    /// `late-message`: older than the source's watermark when read, and than the watermark less the allowed lateness.
    LateMessage,
    /// `old-message-popped-up`: any other message that is older than the watermark.
    OldMessage,
}

/// The time up to which all data is believed to have arrived, in milliseconds since the epoch. It never goes back.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Watermark(Option<u64>);

/// The open windows, each with a value of the caller's.
#[derive(Debug)]
pub(crate) struct Windows<W> {
    length_ms: u64,
    lateness_ms: u64,
    watermark: Watermark,
    open: BTreeMap<Span, W>,
}

impl DropReason {
    /// Numaflow's name of the reason.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::LateMessage => "late-message",
            Self::OldMessage => "old-message-popped-up",
        }
    }
}

impl Watermark {
    /// Milliseconds since the epoch; nothing before the first data.
    pub fn get(self) -> Option<u64> {
        self.0
    }

    /// Moves to `to_ms`, never back.
    pub fn advance(&mut self, to_ms: u64) {
        self.0 = Some(self.0.map_or(to_ms, |now| now.max(to_ms)));
    }

    /// One step of an idle source: forward by `by`, not beyond the clock. Without any data yet there is nothing to move.
    pub fn step(&mut self, by: Duration, clock_ms: u64) {
        if let Some(now) = self.0 {
            self.advance(now.saturating_add(millis(by)).min(clock_ms));
        }
    }
}

impl<W> Windows<W> {
    /// No open windows. `length_ms` must not be zero.
    pub fn new(length_ms: u64, lateness: Duration) -> Self {
        Self {
            length_ms,
            lateness_ms: millis(lateness),
            watermark: Watermark::default(),
            open: BTreeMap::new(),
        }
    }

    /// Advances the watermark to the message's, then returns why the message is to be dropped, if it is.
    pub fn judge(&mut self, event_ms: u64, watermark_ms: u64, late: bool) -> Option<DropReason> {
        self.advance(watermark_ms);
        let watermark = self.watermark.get()?;
        if late && event_ms < watermark.saturating_sub(self.lateness_ms) {
            return Some(DropReason::LateMessage);
        }
        (event_ms < watermark).then_some(DropReason::OldMessage)
    }

    /// Advances to a watermark that came without a message.
    pub fn advance(&mut self, watermark_ms: u64) {
        self.watermark.advance(watermark_ms);
    }

    /// Takes out the oldest window whose end has been reached by the watermark less the allowed lateness.
    pub fn take_due(&mut self) -> Option<(Span, W)> {
        let limit = self.watermark.get()?.checked_sub(self.lateness_ms)?;
        // Compared by the start: an end beyond `u64` is saturated and no watermark may reach it.
        let latest_start_ms = limit.checked_sub(self.length_ms)?;
        let oldest = self.open.first_entry()?;
        (oldest.key().start_ms <= latest_start_ms).then(|| oldest.remove_entry())
    }

    /// The window that holds an event, opened by its first event.
    pub fn assign(&mut self, event_ms: u64, open: impl FnOnce(Span) -> W) -> (Span, &mut W, bool) {
        let span = self.span(event_ms);
        let mut first = false;
        let window = self.open.entry(span).or_insert_with(|| {
            first = true;
            open(span)
        });
        (span, window, first)
    }

    /// Windows that are open now.
    #[cfg(test)]
    fn open(&self) -> impl Iterator<Item = &Span> {
        self.open.keys()
    }

    fn span(&self, event_ms: u64) -> Span {
        let start_ms = event_ms - event_ms % self.length_ms;
        Span {
            start_ms,
            end_ms: start_ms.saturating_add(self.length_ms),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn windows(length_ms: u64, lateness_ms: u64) -> Windows<Vec<u64>> {
        Windows::new(length_ms, Duration::from_millis(lateness_ms))
    }

    #[test]
    fn late_and_old_are_told_apart_as_numaflow_does() {
        let mut windows = windows(1_000, 500);
        assert_eq!(windows.judge(2_000, 2_000, false), None);
        assert_eq!(windows.judge(1_499, 2_000, true), Some(DropReason::LateMessage));
        assert_eq!(windows.judge(1_500, 2_000, true), Some(DropReason::OldMessage));
        assert_eq!(windows.judge(1_000, 0, false), Some(DropReason::OldMessage));
        assert_eq!(windows.judge(2_000, 0, true), None);
        assert_eq!(DropReason::LateMessage.as_str(), "late-message");
        assert_eq!(DropReason::OldMessage.as_str(), "old-message-popped-up");
    }

    #[test]
    fn lateness_delays_the_close() {
        let mut windows = windows(1_000, 500);
        windows.assign(900, |_| Vec::new());
        windows.advance(1_499);
        assert_eq!(windows.take_due(), None);
        windows.advance(1_500);
        assert_eq!(
            windows.take_due(),
            Some((
                Span {
                    start_ms: 0,
                    end_ms: 1_000
                },
                vec![]
            ))
        );
    }

    #[test]
    fn an_idle_source_steps_up_to_the_clock() {
        let mut watermark = Watermark::default();
        watermark.step(Duration::from_secs(3), 100_000);
        assert_eq!(watermark.get(), None);
        watermark.advance(10_000);
        watermark.step(Duration::from_secs(3), 100_000);
        assert_eq!(watermark.get(), Some(13_000));
        watermark.step(Duration::from_secs(3), 14_000);
        assert_eq!(watermark.get(), Some(14_000));
        watermark.step(Duration::from_secs(3), 5_000);
        assert_eq!(watermark.get(), Some(14_000));
    }

    /// Any number, often one at the edges.
    fn edge() -> impl Strategy<Value = u64> {
        prop_oneof![
            any::<u64>(),
            0..5_000_u64,
            u64::MAX - 5_000..=u64::MAX,
            Just(0),
            Just(u64::MAX),
        ]
    }

    proptest! {
        #[test]
        fn no_time_overflows_and_no_event_is_lost(
            length_ms in edge().prop_map(|length_ms| length_ms.max(1)),
            lateness_ms in edge(),
            steps in proptest::collection::vec((edge(), edge(), any::<bool>()), 1..100),
        ) {
            let due = |start_ms: u64, watermark_ms: u64| {
                [length_ms, lateness_ms].map(u128::from).iter().sum::<u128>() + u128::from(start_ms) <= u128::from(watermark_ms)
            };
            let mut windows = windows(length_ms, lateness_ms);
            let (mut closed, mut assigned, mut held, mut highest) = (Vec::<Span>::new(), 0, 0, 0);
            for (event_ms, watermark_ms, late) in steps {
                highest = highest.max(watermark_ms);
                if windows.judge(event_ms, watermark_ms, late).is_some() {
                    prop_assert!(event_ms < highest);
                    continue;
                }
                while let Some((span, events)) = windows.take_due() {
                    prop_assert!(due(span.start_ms, highest));
                    held += events.len();
                    closed.push(span);
                }
                let (span, events, _) = windows.assign(event_ms, |_| Vec::new());
                events.push(event_ms);
                assigned += 1;
                prop_assert!(span.start_ms <= event_ms && event_ms - span.start_ms < length_ms);
                prop_assert_eq!(span.end_ms, span.start_ms.saturating_add(length_ms));
                prop_assert!(!closed.contains(&span), "a closed window gets nothing more");
                prop_assert!(windows.open().all(|open| !due(open.start_ms, highest)), "due windows are closed");
            }
            windows.advance(u64::MAX);
            while let Some((_, events)) = windows.take_due() {
                held += events.len();
            }
            let open: usize = windows.open.values().map(Vec::len).sum();
            prop_assert_eq!(held + open, assigned);
        }

        #[test]
        fn a_watermark_never_goes_back(start_ms in edge(), steps in proptest::collection::vec((edge(), edge()), 1..20)) {
            let mut watermark = Watermark::default();
            watermark.advance(start_ms);
            for (by_ms, clock_ms) in steps {
                let before = watermark.get();
                watermark.step(Duration::from_millis(by_ms), clock_ms);
                prop_assert!(watermark.get() >= before);
                prop_assert!(watermark.get() == before || watermark.get() <= Some(clock_ms));
            }
            watermark.step(Duration::MAX, u64::MAX);
            prop_assert_eq!(watermark.get(), Some(u64::MAX));
        }

        #[test]
        fn each_event_goes_to_the_one_window_of_its_time_and_closed_windows_stay_closed(
            length_ms in 1_u64..2_000,
            lateness_ms in 0_u64..3_000,
            steps in proptest::collection::vec((0_u64..20_000, 0_u64..20_000, any::<bool>()), 1..300),
        ) {
            let mut windows = windows(length_ms, lateness_ms);
            let (mut closed, mut assigned, mut held, mut dropped) = (Vec::<Span>::new(), 0, 0, 0);
            let mut highest = 0;
            for (event_ms, watermark_ms, late) in &steps {
                let verdict = windows.judge(*event_ms, *watermark_ms, *late);
                highest = highest.max(*watermark_ms);
                prop_assert_eq!(windows.watermark.get(), Some(highest), "the watermark never goes back");
                if verdict.is_some() {
                    dropped += 1;
                    prop_assert!(*event_ms < highest);
                    continue;
                }
                while let Some((span, events)) = windows.take_due() {
                    held += events.len();
                    prop_assert!(span.end_ms + lateness_ms <= highest);
                    prop_assert!(closed.last().is_none_or(|last| last.start_ms < span.start_ms), "oldest first");
                    prop_assert!(events.iter().all(|time| (span.start_ms..span.end_ms).contains(time)));
                    closed.push(span);
                }
                let (span, events, first) = windows.assign(*event_ms, |_| Vec::new());
                prop_assert_eq!(first, events.is_empty());
                events.push(*event_ms);
                assigned += 1;
                prop_assert!((span.start_ms..span.end_ms).contains(event_ms));
                prop_assert_eq!((span.start_ms % length_ms, span.end_ms - span.start_ms), (0, length_ms));
                prop_assert!(!closed.contains(&span), "a closed window gets nothing more");
                prop_assert!(windows.open().all(|open| open.end_ms + lateness_ms > highest), "due windows are closed");
            }
            windows.advance(u64::MAX);
            while let Some((_, events)) = windows.take_due() {
                held += events.len();
            }
            prop_assert_eq!(held, assigned);
            prop_assert_eq!(assigned + dropped, steps.len());
        }
    }
}
