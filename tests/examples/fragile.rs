//! A UDF whose calls do what the event's padding says: panic, exit, write rubbish, hang. It shows the effect of a
//! faulty call under the library's real strategies and the SDK's real server.

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use async_reduce::{BlockingCall, Both, Call, CallError, Count, Event, Program, Records};

/// If set to `1`, the program's file is removed before the pool starts, so that no child can start.
const VANISH: &str = "FRAGILE_VANISH";

struct Fragile;

impl Fragile {
    fn work(event: &Event) -> Result<(), CallError> {
        let padding = wire::Event::decode(event.payload()).map_or(String::new(), |event| event.padding);
        match padding.as_str() {
            "panic" => panic!("as asked"),
            "exit" => std::process::exit(0),
            "rubbish" => {
                // As a call does that prints to the output of its frames.
                let _ = io::stdout().write_all(b"hello, here is something else\n");
                let _ = io::stdout().flush();
            }
            "hang" => std::thread::sleep(Duration::from_secs(3_600)),
            _ => {}
        }
        Ok(())
    }
}

impl Call for Fragile {
    type Answer = ();

    async fn call(&self, event: &Event) -> Result<(), CallError> {
        Self::work(event)
    }
}

impl BlockingCall for Fragile {
    type Answer = ();

    fn call_blocking(&self, event: &Event) -> Result<(), CallError> {
        Self::work(event)
    }
}

fn main() -> ExitCode {
    Program::new().records(Records::Only).run(|_: &(), _| {
        if std::env::var(VANISH).is_ok_and(|value| value == "1") {
            std::fs::remove_file(std::env::current_exe()?)?;
        }
        Ok((Both(Fragile), Count::default))
    })
}
