//! The shipped UDF: its call is an HTTP request to the endpoint, or a chosen processor time.

use std::process::ExitCode;
use std::sync::Arc;

use async_reduce::{Call, Cli, CpuCall, HttpCall, HttpCallError, Settings, Target};
use clap::Parser;
use wire::Workload;

fn main() -> ExitCode {
    vertex::init_logging();
    match async_reduce::run_dyn(Cli::parse(), make_call) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("udf: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}

/// Why the call cannot be set up.
#[derive(Debug, thiserror::Error)]
enum WorkError {
    #[error(transparent)]
    Http(#[from] HttpCallError),
    #[error("cpu_offload: cannot start a thread for each core: {0}")]
    Threads(#[source] std::io::Error),
}

fn make_call(settings: &Settings) -> Result<Arc<dyn Call>, WorkError> {
    if settings.workload == Workload::Cpu {
        let cores = std::thread::available_parallelism()
            .ok()
            .filter(|_| settings.cpu_offload);
        let call = CpuCall::new(settings.io_delay.clone(), cores).map_err(WorkError::Threads)?;
        return Ok(Arc::new(call));
    }
    let target = Target::new(&settings.endpoint_url, &settings.io_delay, settings.timeout)?;
    Ok(Arc::new(HttpCall::new(&target, settings.http_client)?))
}
