//! A UDF that notes each set-up and clean-up with its process in a file.

use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use async_reduce::{BlockingCall, Both, Call, CallError, Count, Event};

#[derive(clap::Args)]
struct TidyArgs {
    /// Where it is noted
    #[arg(long)]
    notes: PathBuf,
}

struct Nothing;

impl Call for Nothing {
    type Answer = ();

    async fn call(&self, _: &Event) -> Result<(), CallError> {
        Ok(())
    }
}

impl BlockingCall for Nothing {
    type Answer = ();

    fn call_blocking(&self, _: &Event) -> Result<(), CallError> {
        Ok(())
    }
}

/// Adds a line in one write, as other processes add theirs.
fn note(mut notes: &File, what: &str) {
    let line = format!("{} {what}\n", std::process::id());
    let _ = notes.write_all(line.as_bytes());
}

fn main() -> ExitCode {
    async_reduce::main(|args: &TidyArgs| {
        let notes = File::options().append(true).open(&args.notes)?;
        note(&notes, "set-up");
        Ok((Both(Nothing), Count::default, move || note(&notes, "clean-up")))
    })
}
