//! `experiment verify`: whether records come out of a pipeline.

use anyhow::Context;
use experiment::cluster::verify::verify as wait_for_rise;

use super::{Failure, say};
use crate::VerifyArgs;

/// `experiment verify`.
pub fn verify(args: VerifyArgs) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.context("cannot start the runtime")?;
    let rise = runtime.block_on(wait_for_rise(&args.sink_metrics, args.within));
    let rise = rise.map_err(anyhow::Error::from)?;
    say(&format!(
        "records come out: {} → {} in {:.1} s\n",
        rise.from,
        rise.to,
        rise.took.as_secs_f64()
    ))
}
