//! A UDF on the library whose calls do nothing and whose aggregate counts: what the library itself costs.

use std::process::ExitCode;

use async_reduce::{Aggregate, Call, CallError, Event, Message, Program, Records, Window};

#[derive(clap::Args)]
struct NoFlags {}

struct Nothing;

impl Call for Nothing {
    type Answer = ();

    async fn call(&self, _: &Event) -> Result<(), CallError> {
        Ok(())
    }
}

struct Counted {
    /// What the benchmark reads as a result; with a record beside it, that one is read.
    is_result: bool,
    events: u64,
    ok: u64,
}

impl Aggregate for Counted {
    type Answer = ();

    fn add(&mut self, _: Event, answer: Result<(), CallError>) {
        self.events += 1;
        self.ok += u64::from(answer.is_ok());
    }

    fn finish(self, _: &Window) -> Vec<Message> {
        let Self { events, ok, .. } = self;
        vec![Message::new(if self.is_result {
            format!("{{\"events\":{events},\"ok\":{ok}}}")
        } else {
            events.to_string()
        })]
    }
}

fn main() -> ExitCode {
    Program::new().run(|_: &NoFlags, settings| {
        let is_result = !matches!(settings.records, Some(Records::Beside));
        let make = move || Counted {
            is_result,
            events: 0,
            ok: 0,
        };
        Ok((Nothing, make))
    })
}
