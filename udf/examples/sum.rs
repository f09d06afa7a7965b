//! The example `sum` of the Go SDK: a key and window sends the sum of its payloads, without those that are no integers.
//!
//!     cargo run --example sum

use std::process::ExitCode;

use async_reduce::{Call, CallError, Event, Sum};

struct Value;

impl Call for Value {
    type Answer = i64;

    async fn call(&self, event: &Event) -> Result<i64, CallError> {
        let text = str::from_utf8(event.payload()).map_err(CallError::bad_input)?;
        text.parse().map_err(CallError::bad_input)
    }
}

fn main() -> ExitCode {
    async_reduce::main(|_: &()| Ok((Value, Sum::default)))
}
