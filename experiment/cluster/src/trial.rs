//! One trial: its objects are applied, it is measured until its last window or the cut-off, and its records become an
//! observation.

mod baseline;
mod metrics;
mod objects;
mod observation;
mod ready;
mod records;
mod run;
mod snapshot;

pub(crate) use self::objects::TrialObjects;
pub(crate) use self::run::TrialRun;
