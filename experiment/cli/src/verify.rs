//! `experiment verify`: checks that a pipeline writes records.

use std::time::Duration;

use cluster::verify::verify as wait_for_rise;

use crate::failure::Failure;
use crate::output::print;
use crate::stop::until_stopped;

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
    let rise = async {
        let rise = wait_for_rise(&args.sink_metrics, args.within).await;
        rise.map_err(anyhow::Error::from)
    };
    let rise = until_stopped(rise)?;
    print(&format!(
        "the pipeline writes records: {} → {} in {:.1} s\n",
        rise.from,
        rise.to,
        rise.took.as_secs_f64()
    ))
}
