//! The example `counter` of the Rust and of the Go SDK: a key and window sends the number of its events.
//!
//!     cargo run --example counter

use std::process::ExitCode;

use async_reduce::{Call, CallError, Count, Event};

struct Counted;

impl Call for Counted {
    type Answer = ();

    async fn call(&self, _: &Event) -> Result<(), CallError> {
        Ok(())
    }
}

fn main() -> ExitCode {
    async_reduce::main(|_: &()| Ok((Counted, Count::default)))
}
