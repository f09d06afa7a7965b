//! The UDF: its call is a request to the endpoint, or processor time.

use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use udf::{Call, Cli, CpuCall, HttpCall, HttpCallError, HttpClient, LeanCall, Settings, Target};
use wire::Workload;

fn main() -> ExitCode {
    vertex::init_logging();
    match udf::run_dyn(Cli::parse(), work_of) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("udf: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}

fn work_of(settings: &Settings) -> Result<Arc<dyn Call>, HttpCallError> {
    if settings.workload == Workload::Cpu {
        let cores = std::thread::available_parallelism()
            .ok()
            .filter(|_| settings.cpu_offload);
        return Ok(Arc::new(CpuCall::new(settings.io_delay.clone(), cores)));
    }
    let target = Target::new(&settings.endpoint_url, &settings.io_delay, settings.timeout)?;
    Ok(match settings.http_client {
        HttpClient::Reqwest => Arc::new(HttpCall::new(target)?),
        HttpClient::Lean => Arc::new(LeanCall::new(&target)?),
    })
}
