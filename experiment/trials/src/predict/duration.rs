//! How long the windows of a trial will take.

use std::num::NonZeroUsize;
use std::time::Duration;

use super::predict;
use crate::trial::TrialSettings;

/// Expected time from the start of a trial's first window to its last result. A strategy that cannot keep up works on its
/// backlog until the cut-off.
pub fn duration(settings: &TrialSettings, cores: NonZeroUsize, cut_off: Duration) -> Duration {
    let windows = settings.window * (settings.warmup + settings.windows);
    let load = predict(settings, cores).load_factor;
    // With a close deadline a window leaves nothing behind, and lasts no longer than that.
    let most = settings.close_deadline().map_or(f64::INFINITY, |deadline| {
        deadline.as_secs_f64() / settings.window.as_secs_f64()
    });
    let load = load.min(most.max(1.0));
    let backlog_s = windows.as_secs_f64() * (load - 1.0).max(0.0);
    let backlog = Duration::try_from_secs_f64(backlog_s).unwrap_or(cut_off);
    windows.saturating_add(backlog.min(cut_off))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Plan;

    #[test]
    fn a_trial_lasts_its_windows_and_at_most_the_cut_off_longer() {
        let lasts = |strategy: &str| {
            let plan = format!(
                "name: p\nwindow: 10s\nwarmup: 1\nwindows: 2\nfixed: {{rpu: 10, io_delay: 200ms, {strategy}}}\n"
            );
            let trials = Plan::parse(&plan, "plan").unwrap().trials();
            let cut_off = Duration::from_secs(20);
            duration(&trials[0].settings, NonZeroUsize::MIN, cut_off).as_secs()
        };
        assert_eq!(lasts("strategy: async, max_workers: 100"), 30);
        assert_eq!(
            lasts("strategy: sequential"),
            50,
            "twice its capacity would be 30 s more"
        );
        assert_eq!(lasts("strategy: async, max_workers: 1, keys: 1"), 50);
        assert_eq!(lasts("strategy: sequential, close_deadline: 5s"), 30);
    }
}
