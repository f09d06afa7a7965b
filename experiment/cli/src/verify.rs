//! `experiment verify`: checks that a pipeline writes records.

use std::time::Duration;

use anyhow::Context;
use cluster::verify::verify as wait_for_rise;

use crate::failure::Failure;
use crate::output::print;

#[derive(Debug, clap::Args)]
pub struct VerifyArgs {
    /// URL of the sink's metrics, such as http://async-reduce-sink-headless:9100/metrics
    #[arg(long, env = "SINK_METRICS", value_name = "URL")]
    sink_metrics: reqwest::Url,
    /// How long the count may take to rise
    #[arg(long, env = "WITHIN", value_name = "DURATION", default_value = "2m", value_parser = wire::parse_duration)]
    within: Duration,
}

pub fn verify(args: VerifyArgs) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.context("cannot start the runtime")?;
    let rise = runtime.block_on(wait_for_rise(&args.sink_metrics, args.within));
    let rise = rise.map_err(anyhow::Error::from)?;
    print(&format!(
        "the pipeline writes records: {} → {} in {:.1} s\n",
        rise.from,
        rise.to,
        rise.took.as_secs_f64()
    ))
}
