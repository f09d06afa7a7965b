//! A UDF of your own: its slow work is a look-up in a file. Strategies, limits and records are the library's.
//!
//!     cargo run --example lookup -- --strategy thread-pool --socket /tmp/lookup.sock --server-info /tmp/lookup-info

use std::convert::Infallible;
use std::path::PathBuf;
use std::process::ExitCode;

use async_reduce::{Call, CallError, Cli, Event};
use async_trait::async_trait;
use clap::Parser;
use wire::Outcome;

struct Lookup {
    file: PathBuf,
}

impl Lookup {
    fn judge(event: &Event, content: std::io::Result<String>) -> Result<(), CallError> {
        match content {
            Ok(content)
                if content
                    .lines()
                    .any(|line| event.keys.iter().any(|key| key == line)) =>
            {
                Ok(())
            }
            Ok(_) => Err(CallError::from(Outcome::BadStatus).because("the key is not in the file")),
            Err(error) => Err(CallError::of(&error, Outcome::NoConnection)),
        }
    }
}

#[async_trait]
impl Call for Lookup {
    async fn call(&self, event: &Event) -> Result<(), CallError> {
        Self::judge(event, tokio::fs::read_to_string(&self.file).await)
    }

    fn call_blocking(&self, event: &Event) -> Result<(), CallError> {
        Self::judge(event, std::fs::read_to_string(&self.file))
    }
}

fn main() -> ExitCode {
    vertex::init_logging();
    let lookup = |_: &async_reduce::Settings| {
        Ok::<_, Infallible>(Lookup {
            file: PathBuf::from("known-keys.txt"),
        })
    };
    match async_reduce::run(Cli::parse(), lookup) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("lookup: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}
