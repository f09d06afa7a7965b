//! One cell of a plan: everything that its processes must be told.

use serde::{Deserialize, Serialize};
pub use wire::settings::TrialSettings;

/// One run of the pipeline with one set of settings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Trial {
    /// Names the trial within its plan, the same on every run: levels of the axes and the repeat.
    pub id: String,
    /// Which repeat of its cell this is, from 0.
    pub repeat: u32,
    /// What is asked.
    pub settings: TrialSettings,
}
