//! One trial in the cluster.

mod baseline;
mod metrics;
mod objects;
mod observation;
mod ready;
mod records;
mod run;

pub(crate) use self::objects::TrialObjects;
pub(crate) use self::run::TrialRun;
