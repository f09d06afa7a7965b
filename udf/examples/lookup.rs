//! A UDF of your own: its slow work is a look-up of the event's key in a file, and its result is how many were found.
//! Strategies, limits and records are the library's.
//!
//!     cargo run --example lookup -- --strategy thread-pool --socket /tmp/lookup.sock --server-info /tmp/lookup-info

use std::path::PathBuf;
use std::process::ExitCode;

use async_reduce::{BlockingCall, Both, Call, CallError, Count, Event};

/// Looks keys up in a file
#[derive(clap::Args)]
#[command(version)]
struct LookupArgs {
    /// The file with a known key in each line
    #[arg(long, env, default_value = "known-keys.txt")]
    known_keys: PathBuf,
}

struct Lookup {
    file: PathBuf,
}

impl Lookup {
    fn judge(event: &Event, content: &str) -> Result<(), CallError> {
        let known = |key: &String| content.lines().any(|line| line == key);
        match event.keys().iter().any(known) {
            true => Ok(()),
            false => Err(CallError::new("unknown-key")),
        }
    }
}

impl Call for Lookup {
    type Answer = ();

    async fn call(&self, event: &Event) -> Result<(), CallError> {
        Self::judge(event, &tokio::fs::read_to_string(&self.file).await?)
    }
}

impl BlockingCall for Lookup {
    type Answer = ();

    fn call_blocking(&self, event: &Event) -> Result<(), CallError> {
        Self::judge(event, &std::fs::read_to_string(&self.file)?)
    }
}

fn main() -> ExitCode {
    async_reduce::main(|args: &LookupArgs| {
        let file = args.known_keys.clone();
        Ok((Both(Lookup { file }), Count::default))
    })
}
