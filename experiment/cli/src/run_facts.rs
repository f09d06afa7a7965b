//! What a journal says of a run at its start.

use std::collections::BTreeMap;

use engine::Engine;
use trials::journal::RunFacts;
use trials::threshold::Reference;

use crate::plan_args::PlanText;

/// The facts of a run that starts now: `facts` of the machine and of what the user has replaced, those of the plan's files
/// and of the engine.
pub async fn run_facts(
    written: &PlanText,
    trials: usize,
    mut facts: BTreeMap<String, String>,
    engine: &dyn Engine,
    references: Vec<Reference>,
) -> RunFacts {
    let traces = written.plan.trace_files.clone();
    facts.extend(traces.map(|files| ("trace file".to_owned(), files)));
    facts.extend(engine.facts().await);
    RunFacts {
        plan_name: written.plan.name.clone(),
        plan_text: written.text.clone(),
        trials,
        engine: engine.name().to_owned(),
        started_us: wire::Clock::start().now_us(),
        machine: facts,
        command: command_line(),
        references,
        search: None,
    }
}

/// The command line, quoted for a shell if needed.
fn command_line() -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,".contains(c);
    let quoted = |arg: String| {
        if !arg.is_empty() && arg.chars().all(plain) {
            arg
        } else {
            format!("'{}'", arg.replace('\'', r"'\''"))
        }
    };
    let program = "experiment".to_owned();
    let args = std::env::args_os()
        .skip(1)
        .map(|arg| quoted(arg.to_string_lossy().into_owned()));
    std::iter::once(program).chain(args).collect::<Vec<_>>().join(" ")
}
