//! `experiment verify`: whether records come out of a pipeline.

use std::time::Duration;

use anyhow::Context;
use cluster::verify::verify as wait_for_rise;

use crate::failure::Failure;
use crate::output::say;

/// How to see that records come out of a pipeline.
#[derive(Debug, clap::Args)]
pub struct VerifyArgs {
    /// Where the sink serves its metrics, such as http://async-reduce-sink-headless:9100/metrics
    #[arg(long, env = "SINK_METRICS", value_name = "URL")]
    sink_metrics: reqwest::Url,
    /// How long it may take
    #[arg(long, env = "WITHIN", value_name = "DURATION", default_value = "2m", value_parser = wire::parse_duration)]
    within: Duration,
}

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
