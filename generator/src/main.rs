//! The generator: a Numaflow source that offers events at an exact rate, on a schedule that never slows down for its
//! reader.

mod event;
mod own_payloads;
mod payload;
mod schedule;
mod source;
mod state;
mod stats;
mod windows;

use std::io::Write;
use std::num::NonZeroU64;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::Parser;
use numaflow::shared::ServerExtras;
use numaflow::source::{SERVER_INFO_FILE, SOCK_ADDR, Server};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use vertex::{StatsServer, VertexArgs, VertexError};
use wire::settings::{KEY_SKEW, KEYED, KEYS, PAYLOAD_SIZE, RPU, SEED, whole_number};
use wire::{Keys, Rate};

use crate::own_payloads::{OwnPayloads, OwnPayloadsArgs};
use crate::source::Generator;
use crate::state::{Plan, State};

/// Length of the windows by which sent events are reported without `--align`: that of the experiment.
const WINDOW: Duration = Duration::from_secs(10);

const EXAMPLES: &str = "Examples:
  generator --rpu 100 --keys 5
  generator --rpu 1000 --keys 100 --key-skew 1.1 --seed 7 --count 60000 --align 10s
  generator --socket /tmp/g.sock --server-info /tmp/g.info --stats-listen 127.0.0.1:0
  generator --saturate --payload-size 1000
  generator --rpu 100 --payloads payments.jsonl --key-pointer /user
  generator --rpu 100 --keys 5 --payload-template '{\"user\": ${key}, \"amount\": ${uniform:1:100}}'
  generator --hold --stats-listen 127.0.0.1:9100 & curl -X POST http://127.0.0.1:9100/start

With --stats-listen it prints its address as one line of JSON, and also serves
GET /stats    what was offered, sent and acknowledged, as JSON
POST /start   ends --hold";

/// A user-defined source for Numaflow that offers events at an exact rate: event i is due i/RPU seconds
/// after event 0, whatever the reader does. What the reader could not take in time is counted and sent
/// late, never skipped.
#[derive(Debug, Parser)]
#[command(version, after_help = EXAMPLES)]
struct Args {
    #[arg(long, env, value_name = "N", help = RPU.help(), default_value = RPU.default, value_parser = |text: &str| RPU.read(text), allow_hyphen_values = true)]
    rpu: NonZeroU64,
    #[arg(long, env, value_name = "N", help = KEYS.help(), default_value = KEYS.default, value_parser = |text: &str| KEYS.read(text), allow_hyphen_values = true)]
    keys: NonZeroU64,
    #[arg(long, env, value_name = "F", help = KEY_SKEW.help(), default_value = KEY_SKEW.default, value_parser = |text: &str| KEY_SKEW.read(text), allow_hyphen_values = true)]
    key_skew: f64,
    #[arg(long, env, help = KEYED.help(), default_value = KEYED.default, value_parser = |text: &str| KEYED.form.canonical(text).map(|text| text == "true"), num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    keyed: bool,
    #[arg(long, env, value_name = "N", help = PAYLOAD_SIZE.help(), default_value = PAYLOAD_SIZE.default, value_parser = |text: &str| PAYLOAD_SIZE.read(text), allow_hyphen_values = true)]
    payload_size: usize,
    /// Number of events; 0 for no end
    #[arg(
        long,
        env = "COUNT",
        value_name = "N",
        default_value_t = 0,
        value_parser = whole_number::<u64>(0, u64::MAX),
        allow_hyphen_values = true
    )]
    count: u64,
    #[arg(long, env, value_name = "N", help = SEED.help(), default_value = SEED.default, value_parser = |text: &str| SEED.read(text), allow_hyphen_values = true)]
    seed: u64,
    /// Make event 0 due at a multiple of this duration, like 10s; otherwise at the first read
    #[arg(long, env = "ALIGN", value_name = "DURATION", value_parser = align, allow_hyphen_values = true)]
    align: Option<Duration>,
    /// Send nothing before POST /start at --stats-listen; the schedule begins with the first read after it
    #[arg(long, env = "HOLD")]
    hold: bool,
    /// Partition of its offsets: the number that Numaflow gave this replica
    #[arg(
        long,
        env = "NUMAFLOW_REPLICA",
        value_name = "N",
        default_value_t = 0,
        value_parser = whole_number::<u16>(0, u64::from(u16::MAX)),
        allow_hyphen_values = true
    )]
    replica: u16,
    /// No schedule: fill every read at once (--rpu and --align have no effect)
    #[arg(long, env = "SATURATE")]
    saturate: bool,
    #[command(flatten)]
    own_payloads: OwnPayloadsArgs,
    #[command(flatten)]
    vertex: VertexArgs,
}

/// Payloads of the user's own, and their keys if these are in them.
type Own = (OwnPayloads, Option<Keys>);

fn main() -> ExitCode {
    let args = Args::parse();
    if args.hold && args.vertex.stats_listen.is_none() {
        eprintln!("generator: hold: nothing could start it: choose an address with --stats-listen");
        return ExitCode::from(2);
    }
    let own = match args.own_payloads.read(args.keyed, args.seed) {
        Ok(own) => own,
        Err(refused) => {
            eprintln!("generator: {refused}");
            return ExitCode::from(2);
        }
    };
    vertex::init_logging();
    match run(&args, own) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("generator: {}", vertex::one_line(error.as_ref()));
            let wrong_use = matches!(error.downcast_ref(), Some(VertexError::PathTooLong(_)));
            ExitCode::from(if wrong_use { 2 } else { 1 })
        }
    }
}

// One thread: the work passes from task to task, and waking another thread costs more than each piece of it.
#[tokio::main(flavor = "current_thread")]
async fn run(args: &Args, own: Option<Own>) -> anyhow::Result<()> {
    let (socket, server_info) = args.vertex.paths(SOCK_ADDR, SERVER_INFO_FILE)?;
    let stopping = CancellationToken::new();
    let generator = build(args, own, stopping.clone());
    let stats_server = args
        .vertex
        .serve_metrics(stats::routes(&socket, generator.clone()))?;
    stats_server.as_ref().map(announce).transpose()?;
    let served = vertex::serve(&socket, &args.vertex, |stop| {
        Server::new(generator)
            .with_server_info_file(&server_info)
            .with_socket_file(&socket)
            .start_with_shutdown(relay(stop, stopping))
    });
    Ok(served.await?)
}

fn build(args: &Args, own: Option<Own>, stopping: CancellationToken) -> Generator {
    let plan = Plan {
        rate: (!args.saturate).then_some(Rate(args.rpu)),
        count: (args.count > 0).then_some(args.count),
        align: args.align,
        hold: args.hold,
    };
    let (own, keys) = own.map_or((None, None), |(own, keys)| (Some(own), keys));
    let keys = keys.unwrap_or_else(|| Keys::new(args.keys, args.key_skew, args.seed, args.keyed));
    let state = State::new(plan, keys, args.align.unwrap_or(WINDOW));
    Generator::new(state, rand::random(), args.replica, args.payload_size, stopping).with_own_payloads(own)
}

/// Ends the reads in progress before the server stops, because it waits for them.
fn relay(stop: oneshot::Receiver<()>, stopping: CancellationToken) -> oneshot::Receiver<()> {
    let (stop_server, stopped) = oneshot::channel();
    tokio::spawn(async move {
        // A dropped sender means stop, too.
        let _ = stop.await;
        stopping.cancel();
        let _ = stop_server.send(());
    });
    stopped
}

/// Writes the line on stdout from which the parent process learns the port when it was 0.
fn announce(stats_server: &StatsServer) -> anyhow::Result<()> {
    let announced = wire::AnnouncedAddress {
        listening: stats_server.address(),
    };
    writeln!(std::io::stdout(), "{}", serde_json::to_string(&announced)?).context("cannot write to stdout")
}

fn align(text: &str) -> Result<Duration, String> {
    let align = wire::parse_duration(text).map_err(|error| error.to_string())?;
    if align.is_zero() || align.subsec_nanos() % 1_000_000 != 0 {
        return Err("expected a duration of one or more whole milliseconds, like 10s".to_owned());
    }
    Ok(align)
}
