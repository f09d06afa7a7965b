//! The UDF: its call is a request to the endpoint, or processor time.

use std::process::ExitCode;

use async_trait::async_trait;
use clap::Parser;
use udf::{Call, Cli, CpuCall, Event, HttpCall, HttpCallError, HttpClient, HyperCall, Settings, Target};
use wire::{Outcome, Workload};

fn main() -> ExitCode {
    vertex::init_logging();
    match udf::run(Cli::parse(), work_of) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("udf: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}

fn work_of(settings: &Settings) -> Result<Work, HttpCallError> {
    let cores = std::thread::available_parallelism()
        .ok()
        .filter(|_| settings.cpu_offload);
    Ok(match settings.workload {
        Workload::Http => {
            let target = Target::new(&settings.endpoint_url, &settings.io_delay, settings.timeout)?;
            match settings.http_client {
                HttpClient::Reqwest => Work::Http(Box::new(HttpCall::new(target)?)),
                HttpClient::Hyper => Work::Hyper(Box::new(HyperCall::new(&target)?)),
            }
        }
        Workload::Cpu => Work::Cpu(CpuCall::new(settings.io_delay.clone(), cores)),
    })
}

enum Work {
    Http(Box<HttpCall>),
    Hyper(Box<HyperCall>),
    Cpu(CpuCall),
}

#[async_trait]
impl Call for Work {
    async fn call(&self, event: &Event) -> Outcome {
        match self {
            Self::Http(call) => call.call(event).await,
            Self::Hyper(call) => call.call(event).await,
            Self::Cpu(call) => call.call(event).await,
        }
    }

    fn call_blocking(&self, event: &Event) -> Outcome {
        match self {
            Self::Http(call) => call.call_blocking(event),
            Self::Hyper(call) => call.call_blocking(event),
            Self::Cpu(call) => call.call_blocking(event),
        }
    }
}
