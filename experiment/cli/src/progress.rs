//! Progress of a run on stderr: a bar on a terminal, plain lines otherwise.

use std::io::{IsTerminal, Write, stderr};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use engine::TrialProgress;
use engine::run_loop::Progress;
use indicatif::{ProgressBar, ProgressState, ProgressStyle};
use trials::outcome::TrialOutcome;
use trials::trial::Trial;
use trials::verdict::Verdict;

/// Between two updates of the bar.
const TICK: Duration = Duration::from_millis(500);

pub fn on_stderr() -> Box<dyn Progress> {
    if stderr().is_terminal() {
        Box::new(Bar::new())
    } else {
        Box::new(Lines {
            end: End::now(),
            closed: AtomicU32::new(0),
        })
    }
}

/// Lines before and after the trials.
#[derive(Debug)]
pub struct Notes;

impl TrialProgress for Notes {
    fn windows(&self, _: u32, _: u32) {}

    fn note(&self, line: &str) {
        note(line);
    }
}

/// Expected end of the whole run.
#[derive(Debug, Clone)]
struct End(Arc<Mutex<Instant>>);

impl End {
    fn now() -> Self {
        Self(Arc::new(Mutex::new(Instant::now())))
    }

    fn set(&self, left: Duration) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now() + left;
    }

    fn left(&self) -> String {
        let end = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        rough(end.saturating_duration_since(Instant::now()))
    }
}

/// Plain lines: at the start of a trial, for every window, and at its end.
#[derive(Debug)]
struct Lines {
    end: End,
    closed: AtomicU32,
}

impl TrialProgress for Lines {
    fn windows(&self, closed: u32, all: u32) {
        if self.closed.swap(closed, Ordering::Relaxed) < closed {
            note(&format!("  window {closed}/{all}, {} left", self.end.left()));
        }
    }

    fn note(&self, line: &str) {
        note(line);
    }
}

impl Progress for Lines {
    fn trial_started(&self, position: usize, all: usize, trial: &Trial, left: Duration) {
        self.end.set(left);
        self.closed.store(0, Ordering::Relaxed);
        note(&format!(
            "trial {position}/{all} {}, {} left",
            trial.id,
            self.end.left()
        ));
    }

    fn trial_ended(&self, outcome: &TrialOutcome) {
        note(&format!("  {}", ended(outcome)));
    }
}

/// A bar for the windows of the running trial, with the time left for the whole run.
#[derive(Debug)]
struct Bar {
    bar: ProgressBar,
    end: End,
}

impl Bar {
    fn new() -> Self {
        let end = End::now();
        let shown = end.clone();
        let left = move |_: &ProgressState, text: &mut dyn std::fmt::Write| {
            // An error only means that the bar is not drawn.
            let _ = text.write_str(&shown.left());
        };
        let template = "{prefix} [{bar:24}] window {pos}/{len}, {left} left · {msg}";
        let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        let bar = ProgressBar::new(0).with_style(style.with_key("left", left).progress_chars("=> "));
        bar.enable_steady_tick(TICK);
        Self { bar, end }
    }
}

impl TrialProgress for Bar {
    fn windows(&self, closed: u32, all: u32) {
        self.bar.set_length(u64::from(all));
        self.bar.set_position(u64::from(closed));
    }

    fn note(&self, line: &str) {
        self.bar.println(line);
    }
}

impl Progress for Bar {
    fn trial_started(&self, position: usize, all: usize, trial: &Trial, left: Duration) {
        self.end.set(left);
        self.bar.set_prefix(format!("trial {position}/{all}"));
        self.bar.set_message(trial.id.clone());
        self.windows(0, trial.settings.warmup + trial.settings.windows);
    }

    fn trial_ended(&self, outcome: &TrialOutcome) {
        self.bar
            .println(format!("{}: {}", outcome.trial.id, ended(outcome)));
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// Writes a line to stderr. Errors are ignored, as a closed stderr must not end a run.
pub fn note(line: &str) {
    let _ = writeln!(stderr(), "{line}");
}

fn ended(outcome: &TrialOutcome) -> String {
    let seconds = Duration::from_micros(outcome.ended_us.saturating_sub(outcome.started_us)).as_secs_f64();
    let verdict = Verdict::of(outcome);
    format!("{} {} ({seconds:.1} s)", verdict.kind.mark(), verdict.text())
}

/// A rounded duration.
fn rough(duration: Duration) -> String {
    match duration.as_secs() {
        seconds @ 0..100 => format!("{seconds} s"),
        seconds @ 100..6_000 => format!("{} min", seconds.div_ceil(60)),
        seconds => format!("{} h {} min", seconds / 3_600, seconds % 3_600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_rough() {
        let texts = [0, 99, 100, 5_999, 7_260].map(|seconds| rough(Duration::from_secs(seconds)));
        assert_eq!(texts, ["0 s", "99 s", "2 min", "100 min", "2 h 1 min"]);
    }
}
