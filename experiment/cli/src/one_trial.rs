//! A trial of a command that decides after each one which is next, and the error of a run that ended before its last.

use anyhow::anyhow;
use engine::Engine;
use engine::run_loop::{RunEnd, run as run_trials};
use trials::journal::Journal;
use trials::text::counted;
use trials::trial::Trial;

use crate::failure::Failure;
use crate::progress::Within;
use crate::stop::{Stop, StopSignal};

/// Runs a trial and appends its outcome to the journal. `missing` is the number of trials that are left with it, if that
/// is known.
///
/// # Errors
/// Returns an error if a signal arrived, or if the run cannot go on.
pub async fn run_one(
    trial: &Trial,
    engine: &mut dyn Engine,
    journal: &mut Journal,
    progress: &Within<'_>,
    missing: Option<usize>,
    stop: &Stop,
) -> Result<(), Failure> {
    let mut arrived = None;
    let interrupted = async { arrived = Some(stop.requested().await) };
    match run_trials(&[trial], engine, journal, progress, interrupted).await? {
        RunEnd::Finished => Ok(()),
        RunEnd::Interrupted { .. } => Err(unfinished(None, missing, arrived)),
        RunEnd::Stopped { why, .. } => Err(unfinished(Some(&why), missing, arrived)),
    }
}

/// The error of a run that ended before its last trial: why, if it was not interrupted, and by which signal if it was.
pub fn unfinished(
    why: Option<&(dyn std::error::Error + 'static)>,
    missing: Option<usize>,
    arrived: Option<StopSignal>,
) -> Failure {
    let why = why.map_or_else(|| "interrupted".to_owned(), vertex::one_line);
    let kept = match missing {
        Some(1) => "1 trial is missing, finished ones are kept".to_owned(),
        Some(missing) => format!(
            "{} are missing, finished ones are kept",
            counted(missing as u64, "trial")
        ),
        None => "finished trials are kept".to_owned(),
    };
    Failure {
        error: anyhow!("{why}: {kept}; continue with --resume"),
        exit: arrived.map_or(1, StopSignal::exit),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_that_ended_early_says_what_is_missing_and_why() {
        let text = |why, missing, arrived| {
            let failure = unfinished(why, missing, arrived);
            (failure.error.to_string(), failure.exit)
        };
        let of_two = "interrupted: 2 trials are missing, finished ones are kept; continue with --resume";
        assert_eq!(
            text(None, Some(2), Some(StopSignal::Terminate)),
            (of_two.to_owned(), 143)
        );
        let full = std::io::Error::other("the disk is full");
        let of_one = "the disk is full: 1 trial is missing, finished ones are kept; continue with --resume";
        assert_eq!(text(Some(&full), Some(1), None), (of_one.to_owned(), 1));
        let unknown = "the disk is full: finished trials are kept; continue with --resume";
        assert_eq!(text(Some(&full), None, None), (unknown.to_owned(), 1));
    }
}
