//! One trial of a plan: its id and all settings that its processes need.

use serde::{Deserialize, Serialize};
pub use wire::settings::TrialSettings;

/// One run of the pipeline with one set of settings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Trial {
    /// Unique in its plan and the same on every run: the levels of the axes and the repeat.
    pub id: String,
    /// Which repeat of its cell this is, from 0.
    pub repeat: u32,
    pub settings: TrialSettings,
}
