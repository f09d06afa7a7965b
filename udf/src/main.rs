//! The shipped UDF: its call is an HTTP request, to a service of the user's or to the experiment's endpoint, or a chosen
//! processor time. It sends the record of each window, or what `--result` makes of the answers.

mod shipped;

use std::process::ExitCode;

use async_reduce::{Program, Records};

use shipped::{Flags, set_up};

fn main() -> ExitCode {
    Program::new()
        .records(Records::Only)
        .results_by("result")
        .synthetic()
        .run(|flags: &Flags, settings| set_up(flags, settings))
}
