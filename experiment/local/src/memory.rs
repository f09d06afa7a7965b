//! The memory of trials on this machine: the runner's own bound, and which trials need more than the UDF's.

use trials::text::bytes;
use trials::trial::{Trial, TrialSettings};
use vertex::machine::Memory;
use wire::StartRule;

/// Smallest payload of our events, about: `payload_size` only adds to it.
const LEAST_PAYLOAD_BYTES: u64 = 64;

/// Share of the memory that each of the runner's two buffers may fill.
const BUFFER_SHARE: u64 = 8;

/// Bytes that each of the runner's buffers may hold; never more than the data plane's own default.
pub(crate) fn buffer_bytes(memory: Option<Memory>) -> usize {
    let share = memory.map(|memory| usize::try_from(memory.bytes / BUFFER_SHARE).unwrap_or(usize::MAX));
    share.map_or(dataplane::config::BUFFER_BYTES, |share| {
        share.clamp(1, dataplane::config::BUFFER_BYTES)
    })
}

/// What to say before trials whose events need more memory than `max_waiting_bytes` or than there is: one line for the trial
/// that needs most. Events that start at close wait for it, all of a window at once, so their backlog is known; that of events
/// that start at arrival depends on whether the calls keep up.
pub fn memory_note(trials: &[Trial], memory: Option<Memory>) -> Option<String> {
    let over = trials
        .iter()
        .filter(|trial| backlog(&trial.settings) > bound(&trial.settings, memory));
    let over: Vec<&Trial> = over.collect();
    if let Some(most) = over.iter().max_by_key(|trial| backlog(&trial.settings)) {
        let default = match most.settings.max_waiting_bytes {
            Some(_) => "",
            None => ", half of the memory here",
        };
        return Some(format!(
            "max_waiting_bytes: the events of a window that wait for its close need {} in trial `{}`, and {} may wait{default}: \
             reading will stop, and calls begin before the close ({} of {} trials). Raise max_waiting_bytes, or lower \
             payload_size, rpu or window",
            bytes(backlog(&most.settings)),
            most.id,
            bytes(bound(&most.settings, memory)),
            over.len(),
            trials.len()
        ));
    }
    let memory = memory?;
    let asked = trials.iter().filter_map(|trial| trial.settings.max_waiting_bytes);
    let most = asked.max().filter(|most| most.get() > memory.bytes)?;
    let whose = match memory.is_limited {
        true => "the control group of this process",
        false => "this machine",
    };
    Some(format!(
        "max_waiting_bytes: {} is more than the {} of memory that {whose} has, and bounds nothing: choose less than that",
        bytes(most.get()),
        bytes(memory.bytes)
    ))
}

/// Bytes of the events that wait at once, payload and headers, where the settings alone decide that.
fn backlog(settings: &TrialSettings) -> u64 {
    match settings.start_rule {
        StartRule::AtArrival => 0,
        StartRule::AtClose => {
            let payload = (settings.payload_size as u64).max(LEAST_PAYLOAD_BYTES);
            let events = settings.events_per_window().min(settings.max_waiting.get());
            events.saturating_mul(payload)
        }
    }
}

/// Bytes that may wait in the UDF: as given, or its default.
fn bound(settings: &TrialSettings, memory: Option<Memory>) -> u64 {
    let given = settings.max_waiting_bytes.map(|bytes| bytes.get());
    given.unwrap_or_else(|| vertex::machine::half_of(memory))
}

#[cfg(test)]
mod tests {
    use trials::plan::Plan;

    use super::*;

    /// What is said on a machine with 8 GiB of a plan with these axes and settings.
    fn said(axes: &str, fixed: &str) -> Option<String> {
        let text = format!(
            "name: p\nwindow: 10s\naxes: {{{axes}}}\nfixed: {{strategy: async, rpu: 10000, io_delay: 10ms, {fixed}}}\n"
        );
        let memory = Memory {
            bytes: 8 << 30,
            is_limited: false,
        };
        memory_note(&Plan::parse(&text, "plan").unwrap().trials(), Some(memory))
    }

    #[test]
    fn a_window_that_waits_with_more_bytes_than_may_is_named() {
        let sizes = "payload_size: [1000, 50000, 100000]";
        let note = said(sizes, "start_rule: at-close").unwrap();
        assert!(
            note.starts_with(
                "max_waiting_bytes: the events of a window that wait for its close need 9.31 GiB in trial `"
            ),
            "{note}"
        );
        for words in [
            "100000",
            "and 4 GiB may wait, half of the memory here",
            "(2 of 3 trials)",
        ] {
            assert!(note.contains(words), "{words}: {note}");
        }
        // 100,000 events of 1,000 bytes.
        let fixed = "payload_size: 1000, start_rule: at-close";
        assert_eq!(said("", &format!("{fixed}, max_waiting_bytes: 100000000")), None);
        let note = said("", &format!("{fixed}, max_waiting_bytes: 99999999")).unwrap();
        assert!(
            note.contains("and 95.4 MiB may wait: reading will stop"),
            "{note}"
        );
        assert_eq!(
            said(
                "",
                &format!("{fixed}, max_waiting_bytes: 99999999, max_waiting: 99999")
            ),
            None,
            "max_waiting stops reading before"
        );
        assert_eq!(
            said(sizes, "start_rule: at-arrival"),
            None,
            "depends on whether the calls keep up"
        );
    }

    #[test]
    fn a_bound_above_the_memory_is_named() {
        assert_eq!(said("", "max_waiting_bytes: 8589934592"), None);
        assert_eq!(
            said("", "max_waiting_bytes: 17179869184").unwrap(),
            "max_waiting_bytes: 16 GiB is more than the 8 GiB of memory that this machine has, and bounds nothing: choose \
             less than that"
        );
    }

    #[test]
    fn the_runners_buffers_fill_an_eighth_of_the_memory_each() {
        let of = |bytes| {
            buffer_bytes(Some(Memory {
                bytes,
                is_limited: true,
            }))
        };
        assert_eq!(of(1 << 30), 128 << 20);
        assert_eq!([of(0), of(u64::MAX), buffer_bytes(None)], [1, 1 << 30, 1 << 30]);
    }
}
