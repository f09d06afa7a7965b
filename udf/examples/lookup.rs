//! A UDF of your own: its slow work is a look-up of the event's payload in a file, and a key and window sends the numbers of
//! the lines as a JSON array. Strategies, limits and records are the library's.
//!
//!     cargo run --example lookup -- --strategy thread-pool --socket /tmp/lookup.sock --server-info /tmp/lookup-info

use std::path::PathBuf;
use std::process::ExitCode;

use async_reduce::{Answers, BlockingCall, Both, Call, CallError, Event};

/// Looks payloads up in a file
#[derive(clap::Args)]
#[command(version)]
struct LookupArgs {
    /// The file with a known payload in each line
    #[arg(long, env)]
    known: PathBuf,
}

struct Lookup {
    known: PathBuf,
}

impl Lookup {
    fn line(event: &Event, known: &str) -> Result<u64, CallError> {
        let mut lines = (1..).zip(known.lines());
        let found = lines.find(|(_, line)| line.as_bytes() == event.payload());
        // Another attempt would not find it either.
        found
            .map(|(number, _)| number)
            .ok_or_else(|| CallError::new("unknown"))
    }
}

impl Call for Lookup {
    type Answer = u64;

    async fn call(&self, event: &Event) -> Result<u64, CallError> {
        Self::line(event, &tokio::fs::read_to_string(&self.known).await?)
    }
}

impl BlockingCall for Lookup {
    type Answer = u64;

    fn call_blocking(&self, event: &Event) -> Result<u64, CallError> {
        Self::line(event, &std::fs::read_to_string(&self.known)?)
    }
}

fn main() -> ExitCode {
    async_reduce::main(|args: &LookupArgs| {
        let known = args.known.clone();
        Ok((Both(Lookup { known }), Answers::default))
    })
}
