//! An HTTP service that is slow on purpose: it answers after an exact, configured delay, with limited capacity and
//! deliberate failures. It stands for the service that a reduce UDF calls for each event.
//!
//! # Layout
//!
//! - `answer`: bodies and responses, including one that breaks off.
//! - `calls`: counts, latencies and idempotency keys of the calls.
//! - `failure`: which call fails how.
//! - `metrics`: the counts as OpenMetrics text.
//! - `ping`: the routes; a call with its delay, capacity and failures.
//! - `server`: connections, their bound, and the stop.
//! - `stand_in`: the answers at any other path, and which requests they need.
//! - `timer`: waiting with microsecond accuracy.

#![allow(
    missing_docs,
    reason = "used by this workspace alone: docs that only repeat a name are left out"
)]

mod answer;
mod calls;
mod failure;
mod metrics;
mod ping;
mod server;
mod stand_in;
mod timer;

use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroU32;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use clap::Parser;
use hyper::StatusCode;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use wire::settings::{
    CAPACITY, FAIL_BODY, FAIL_HANG, FAIL_RESET, FAIL_STATUS, FAIL_STATUS_CODE, IO_DELAY, KEEP_ALIVE, Limit,
    SEED, whole_number,
};
use wire::{AnnouncedAddress, Delay, parse_duration};

use crate::failure::{Dice, Failures, MoreThanAll};
use crate::ping::{Behaviour, Endpoint};
use crate::server::Bounds;
use crate::stand_in::{StandIn, StandInArgs};
use crate::timer::Timer;

const EXAMPLES: &str = "\
Examples:
  endpoint --io-delay 200us
  endpoint --listen 0.0.0.0:9888 --io-delay 'percentiles(50=10ms,99=1s)' --capacity 100
  endpoint --fail-status 1% --fail-hang 0.001 --seed 7
  endpoint --keep-alive 5s
  endpoint --io-delay 20ms --answer '{\"score\": ${/amount}}' --require-header 'X-Team: payments'
  curl 'http://127.0.0.1:9888/ping?delay=1s'
  curl 'http://127.0.0.1:9888/score?delay=5ms' --json '{\"amount\": 12.5}'

GET /ping     answers `pong` after ?delay=DELAY or --io-delay
GET /stats    what was served, as JSON
GET /metrics  the same for Prometheus
GET /healthz  `ok`
Any method at any other path answers --answer after ?delay=DELAY or --io-delay.";

/// Answers each request after an exact delay: a service that is slow on purpose
#[derive(Debug, Parser)]
#[command(name = "endpoint", version, after_help = EXAMPLES)]
struct Args {
    /// Address to listen on; with port 0 the system chooses a port, which the line on stdout contains
    #[arg(
        long,
        env = "LISTEN",
        value_name = "ADDRESS:PORT",
        default_value_t = SocketAddr::from((Ipv4Addr::LOCALHOST, wire::ENDPOINT_PORT))
    )]
    listen: SocketAddr,
    /// Delay of a call without ?delay=: 200us, uniform(LOW,HIGH), exponential(MEAN), percentiles(50=DELAY,…)
    #[arg(long, env, value_name = "DELAY", default_value = IO_DELAY.default, value_parser = |text: &str| IO_DELAY.read(text), allow_hyphen_values = true)]
    io_delay: Delay,
    #[arg(long, env, value_name = "N", help = CAPACITY.help(), default_value = CAPACITY.default, value_parser = |text: &str| CAPACITY.read(text), allow_hyphen_values = true)]
    capacity: Limit,
    /// Connections held at once; up to 4096 more wait in the system's queue, the rest get no answer
    #[arg(long, env = "MAX_CONNECTIONS", value_name = "N", default_value = "16384", value_parser = whole_number::<NonZeroU32>(1, u64::from(u32::MAX)), allow_hyphen_values = true)]
    max_connections: NonZeroU32,
    #[arg(long, env, value_name = "DURATION", help = KEEP_ALIVE.help(), value_parser = |text: &str| KEEP_ALIVE.read_given(text), allow_hyphen_values = true)]
    keep_alive: Option<Duration>,
    #[arg(long, env, value_name = "SHARE", help = FAIL_STATUS.help(), default_value = FAIL_STATUS.default, value_parser = |text: &str| FAIL_STATUS.read(text), allow_hyphen_values = true)]
    fail_status: f64,
    #[arg(long, env, value_name = "STATUS", help = FAIL_STATUS_CODE.help(), default_value = FAIL_STATUS_CODE.default, value_parser = |text: &str| FAIL_STATUS_CODE.read_given(text), allow_hyphen_values = true)]
    fail_status_code: u16,
    #[arg(long, env, value_name = "SHARE", help = FAIL_RESET.help(), default_value = FAIL_RESET.default, value_parser = |text: &str| FAIL_RESET.read_given(text), allow_hyphen_values = true)]
    fail_reset: f64,
    #[arg(long, env, value_name = "SHARE", help = FAIL_HANG.help(), default_value = FAIL_HANG.default, value_parser = |text: &str| FAIL_HANG.read_given(text), allow_hyphen_values = true)]
    fail_hang: f64,
    #[arg(long, env, value_name = "SHARE", help = FAIL_BODY.help(), default_value = FAIL_BODY.default, value_parser = |text: &str| FAIL_BODY.read_given(text), allow_hyphen_values = true)]
    fail_body: f64,
    #[arg(long, env, value_name = "N", help = SEED.help(), default_value = SEED.default, value_parser = |text: &str| SEED.read(text), allow_hyphen_values = true)]
    seed: u64,
    /// How long calls in flight may continue after a stop; then they are dropped
    #[arg(long, env = "STOP_GRACE", value_name = "DURATION", default_value = "5s", value_parser = parse_duration, allow_hyphen_values = true)]
    stop_grace: Duration,
    /// Stop when standard input closes, so that this process does not outlive its parent
    #[arg(long, env = "STOP_ON_STDIN_CLOSE")]
    stop_on_stdin_close: bool,
    #[command(flatten)]
    stand_in: StandInArgs,
}

impl Args {
    fn read(&self) -> anyhow::Result<(Behaviour, StandIn)> {
        Ok((self.behaviour()?, StandIn::new(&self.stand_in)?))
    }

    fn behaviour(&self) -> Result<Behaviour, MoreThanAll> {
        Ok(Behaviour {
            delay: self.io_delay.clone(),
            capacity: self
                .capacity
                .0
                .map(|capacity| Semaphore::new(capacity.get() as usize)),
            failures: Failures::new(self.fail_status, self.fail_reset, self.fail_hang, self.fail_body)?,
            failure_status: StatusCode::from_u16(self.fail_status_code)
                .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
            dice: Dice::seeded(self.seed),
        })
    }
}

fn main() -> ExitCode {
    let args = Args::parse();
    vertex::init_logging();
    let (behaviour, stand_in) = match args.read() {
        Ok(read) => read,
        Err(error) => {
            eprintln!("error: {error}");
            return ExitCode::from(2);
        }
    };
    match run(&args, behaviour, stand_in) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("endpoint: {}", vertex::one_line(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args, behaviour: Behaviour, stand_in: StandIn) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("starting the runtime")?;
    runtime.block_on(async {
        let stop = vertex::stop_requested(args.stop_on_stdin_close).context("listening to signals")?;
        let listener = server::listen(args.listen)?;
        let connections = server::allowed_connections(args.max_connections.get() as usize);
        let bounds = Bounds {
            connections,
            stop_grace: args.stop_grace,
            keep_alive: args.keep_alive,
        };
        let stopped = CancellationToken::new();
        let endpoint = Arc::new(Endpoint::new(
            behaviour,
            stand_in,
            Timer::start(),
            stopped.clone(),
        ));
        let listening = AnnouncedAddress {
            listening: listener.local_addr()?,
        };
        writeln!(std::io::stdout(), "{}", serde_json::to_string(&listening)?)
            .context("announcing the address on stdout")?;
        server::serve(listener, endpoint, bounds, stopped, stop).await;
        Ok(())
    })
}
