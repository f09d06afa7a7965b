//! Progress of a run on stderr: the figures of each trial as it ends, beneath them a bar if stderr is a terminal.

use std::io::{IsTerminal, Write, stderr};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, Once, PoisonError};
use std::time::{Duration, Instant};

use engine::TrialProgress;
use engine::run_loop::Progress;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use report::Tone;
use trials::journal::JournalLine;
use trials::outcome::TrialOutcome;
use trials::predict::predict;
use trials::trial::Trial;
use vertex::machine;

use crate::output::paint_stderr;

/// Between two updates of the bar.
const TICK: Duration = Duration::from_millis(500);

/// Shortest time between two drawings of the report during a run.
const REDRAW_INTERVAL: Duration = Duration::from_secs(5);

#[derive(Debug, Clone, Copy, clap::Args)]
pub struct ProgressArgs {
    /// Print no progress; warnings, errors and the table at the end remain
    #[arg(long, short, conflicts_with = "verbose")]
    quiet: bool,
    /// Also print the prediction of each trial and a line for each window
    #[arg(long, short)]
    verbose: bool,
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

/// Progress of a run, and its report, which is drawn again while the run lasts.
#[derive(Debug)]
pub struct RunProgress {
    args: ProgressArgs,
    /// `None` if stderr is no terminal.
    bar: Option<ProgressBar>,
    bar_shown: Once,
    end: End,
    /// Windows of the running trial that were reported.
    closed: AtomicU32,
    /// Trials that are still to be run, the current one included.
    left: AtomicU32,
    /// `None` where the run has no report of its own.
    report: Option<Report>,
}

/// Expected end of the whole run.
#[derive(Debug, Clone)]
struct End(Arc<Mutex<Instant>>);

/// The report in the folder of the run.
#[derive(Debug)]
struct Report {
    folder: PathBuf,
    drawn: Mutex<Option<Instant>>,
    /// A failure is noted once; the drawing at the end of the run reports it as an error.
    noted: Once,
}

impl RunProgress {
    pub fn on_stderr(args: ProgressArgs, folder: Option<PathBuf>) -> Self {
        let end = End::now();
        Self {
            bar: (stderr().is_terminal() && !args.quiet).then(|| bar(end.clone())),
            bar_shown: Once::new(),
            args,
            end,
            closed: AtomicU32::new(0),
            left: AtomicU32::new(0),
            report: folder.map(|folder| Report {
                folder,
                drawn: Mutex::new(None),
                noted: Once::new(),
            }),
        }
    }

    /// A line of progress.
    pub fn say(&self, line: &str) {
        if !self.args.quiet {
            self.note(line);
        }
    }
}

impl TrialProgress for RunProgress {
    fn windows(&self, closed: u32, all: u32) {
        if let Some(bar) = &self.bar {
            bar.set_position(u64::from(closed));
            bar.set_length(u64::from(all));
        }
        if self.args.verbose && self.closed.swap(closed, Ordering::Relaxed) < closed {
            self.say(&format!("  window {closed}/{all}, {} left", self.end.left()));
        }
    }

    fn note(&self, line: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| note(line)),
            None => note(line),
        }
    }
}

impl Progress for RunProgress {
    fn trial_started(&self, position: usize, all: usize, trial: &Trial, left: Duration) {
        self.end.set(left);
        self.closed.store(0, Ordering::Relaxed);
        let trials_left = u32::try_from(all + 1 - position).unwrap_or(u32::MAX);
        self.left.store(trials_left, Ordering::Relaxed);
        match &self.bar {
            Some(bar) => {
                bar.set_prefix(format!("trial {position}/{all}"));
                bar.set_message(trial.id.clone());
                self.windows(0, trial.settings.warmup + trial.settings.windows);
                self.bar_shown.call_once(|| {
                    bar.set_draw_target(ProgressDrawTarget::stderr());
                    bar.enable_steady_tick(TICK);
                });
            }
            None => self.say(&format!(
                "trial {position}/{all} {}, {} left",
                trial.id,
                self.end.left()
            )),
        }
        if self.args.verbose {
            let prediction = predict(&trial.settings, machine::cores());
            self.say(&format!("  predicted: {}", prediction.why));
        }
    }

    fn trial_ended(&self, outcome: &TrialOutcome, lines: &[JournalLine]) {
        let mut text = Vec::new();
        if self.bar.is_some() {
            text.push(paint_stderr(Tone::Plain, &outcome.trial.id));
        }
        text.extend(report::live::trial(outcome, &paint_stderr));
        text.extend(report::live::thresholds(outcome, lines, &paint_stderr));
        self.say(&text.join("\n"));
        // After the last trial the run draws it anyway.
        if self.left.load(Ordering::Relaxed) > 1
            && let Some(error) = self.report.as_ref().and_then(|report| report.redraw(lines))
        {
            self.note(&format!("the report is not drawn yet: {error}"));
        }
    }
}

/// The progress of one trial among many that are run one by one.
pub struct Within<'a> {
    pub all: &'a RunProgress,
    pub position: usize,
    pub of: usize,
    pub left: Duration,
    /// Stands before the trial's id.
    pub prefix: &'static str,
}

impl TrialProgress for Within<'_> {
    fn windows(&self, closed: u32, all: u32) {
        self.all.windows(closed, all);
    }

    fn note(&self, line: &str) {
        self.all.note(line);
    }
}

impl Progress for Within<'_> {
    fn trial_started(&self, _: usize, _: usize, trial: &Trial, _: Duration) {
        let mut named = trial.clone();
        named.id = format!("{} {}", self.prefix, trial.id).trim_start().to_owned();
        self.all.trial_started(self.position, self.of, &named, self.left);
    }

    fn trial_ended(&self, outcome: &TrialOutcome, lines: &[JournalLine]) {
        self.all.trial_ended(outcome, lines);
    }
}

impl Drop for RunProgress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

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

impl Report {
    /// Draws it unless that was done within [`REDRAW_INTERVAL`]; returns the first error.
    fn redraw(&self, lines: &[JournalLine]) -> Option<String> {
        let mut drawn = self.drawn.lock().unwrap_or_else(PoisonError::into_inner);
        if drawn.is_some_and(|drawn| drawn.elapsed() < REDRAW_INTERVAL) {
            return None;
        }
        let error = report::write(&self.folder, lines).err();
        *drawn = Some(Instant::now());
        let mut first = None;
        if let Some(error) = error {
            self.noted.call_once(|| first = Some(vertex::one_line(&error)));
        }
        first
    }
}

/// A bar for the windows of the running trial, with the time left for the whole run. Hidden until the first trial.
fn bar(end: End) -> ProgressBar {
    let left = move |_: &ProgressState, text: &mut dyn std::fmt::Write| {
        // An error only means that the bar is not drawn.
        let _ = text.write_str(&end.left());
    };
    let template = "{prefix} [{bar:24}] window {pos}/{len}, {left} left · {wide_msg}";
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::with_draw_target(Some(1), ProgressDrawTarget::hidden())
        .with_style(style.with_key("left", left).progress_chars("=> "))
}

/// Writes a line to stderr. Errors are ignored, as a closed stderr must not end a run.
pub fn note(line: &str) {
    let _ = writeln!(stderr(), "{line}");
}

/// A rounded duration.
pub fn rough(duration: Duration) -> String {
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
