//! The benchmark: throughput and cost of each part beside its peers, in one run on one machine. Goals are mostly
//! ratios, because absolute figures drift; a missed goal is reported and is no failure.
//!
//! # Layout
//!
//! - `rows`: the rows of the table, one file for each group.
//! - `pipeline`: the processes and the data plane of a measurement; `child`, `programs`: their commands.
//! - `watch`: windows and results of a pipeline; `reader`: reads a source without a pipeline.
//! - `payments`: a user's own events.
//! - `paced`: HTTP calls at a steady rate.
//! - `bare`: minimal programs as upper bounds.
//! - `cost`: processor time and memory from `/proc`.
//! - `figure`, `line`, `table`: measured values, lines with goals, and the table.
//! - `error`: why a row cannot be measured.

#![allow(
    missing_docs,
    reason = "used by this workspace alone: docs that only repeat a name are left out"
)]

mod bare;
mod child;
mod cost;
mod error;
mod figure;
mod line;
mod paced;
mod payments;
mod pipeline;
mod programs;
mod reader;
mod rows;
mod table;
mod watch;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};

use crate::error::BenchError;
use crate::line::Line;
use crate::programs::Programs;
use crate::rows::{Bench, Row};
use crate::table::Table;

/// Fraction of stolen time above which a row is measured once more; the less disturbed measurement is kept.
const CALM: f64 = 0.01;

const EXAMPLES: &str = "Examples:
  bench
  bench --only async --quick
  bench --list";

/// Measures the programs of this workspace beside their peers and writes one table
#[derive(Debug, Parser)]
#[command(version, after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    /// Measure these rows only [default: all]
    #[arg(long, value_name = "ROW", value_delimiter = ',', num_args = 1..)]
    only: Vec<Row>,
    /// List the rows and exit
    #[arg(long)]
    list: bool,
    /// A rough measurement: one round of a third of the time
    #[arg(long)]
    quick: bool,
    /// Rounds of each comparison
    #[arg(long, default_value_t = 3, value_parser = wire::settings::whole_number::<u8>(1, 20))]
    rounds: u8,
    /// Folder for the table
    #[arg(long, value_name = "FOLDER", default_value = "results/bench")]
    out: PathBuf,
    /// Only print the table
    #[arg(long)]
    print_only: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run one of the minimal programs that serve as upper bounds
    #[command(subcommand, hide = true)]
    Bare(bare::Bare),
}

fn main() -> ExitCode {
    let args = Args::parse();
    vertex::machine::raise_descriptor_limit(u64::MAX);
    if args.list {
        for row in Row::value_variants() {
            println!("{:<16} {}", row.name(), row.about());
        }
        return ExitCode::SUCCESS;
    }
    let one_thread = matches!(&args.command, Some(Command::Bare(bare)) if bare.on_one_thread());
    let mut builder = if one_thread {
        tokio::runtime::Builder::new_current_thread()
    } else {
        tokio::runtime::Builder::new_multi_thread()
    };
    let runtime = match builder.enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("bench: cannot start the runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    let done = match args.command {
        Some(Command::Bare(bare)) => runtime.block_on(bare::run(bare)),
        None => runtime.block_on(interruptible(args)),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Ctrl-C drops the measurement, and with it all its processes.
async fn interruptible(args: Args) -> Result<(), bare::Failed> {
    tokio::select! {
        done = measure(args) => Ok(done?),
        _ = tokio::signal::ctrl_c() => Err("interrupted".into()),
    }
}

/// The lines of a row, and the fraction of processor time stolen meanwhile.
async fn measured(row: Row, bench: &Bench) -> (Vec<Line>, Option<f64>) {
    let before = cost::machine();
    let lines = row.run(bench).await.unwrap_or_else(|error| {
        eprintln!("bench: {}: {error}", row.name());
        vec![Line::failed(&row.name(), error.to_string())]
    });
    let stolen = cost::machine()
        .zip(before)
        .map(|(now, before)| now.stolen_since(before));
    (lines, stolen)
}

async fn measure(args: Args) -> Result<(), BenchError> {
    #[expect(clippy::disallowed_methods, reason = "people read when it was")]
    let started = chrono::Local::now();
    let bench = Bench {
        programs: Programs::find()?,
        rounds: if args.quick { 1 } else { usize::from(args.rounds) },
        quick: args.quick,
    };
    let rows = if args.only.is_empty() {
        Row::value_variants()
    } else {
        &args.only
    };
    let mut table = Table {
        started: started.format("%Y-%m-%d %H:%M").to_string(),
        facts: table::facts(),
        arguments: std::env::args().skip(1).collect(),
        lines: Vec::new(),
    };
    for row in rows {
        eprintln!("bench: {} …", row.name());
        let (mut lines, mut stolen) = measured(*row, &bench).await;
        if !bench.quick && stolen.is_some_and(|stolen| stolen > CALM) {
            eprintln!(
                "bench: {}: measured again, as others had the processors for a while",
                row.name()
            );
            let again = measured(*row, &bench).await;
            if again.1 < stolen {
                (lines, stolen) = again;
            }
        }
        lines.iter_mut().for_each(|line| line.stolen = stolen);
        table.lines.extend(lines);
    }
    print!("{}", table.markdown());
    if !args.print_only {
        let name = started.format("%Y-%m-%d-%H%M").to_string();
        let [markdown, _] = table.write(&args.out, &name)?;
        eprintln!("bench: written to {}", markdown.display());
    }
    Ok(())
}
