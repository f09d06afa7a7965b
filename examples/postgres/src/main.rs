//! A UDF of your own with a pool of database connections: a query rates each account, and a key and window sends the mean
//! of its ratings.
//!
//!     DATABASE_URL=postgres://user:password@host/database postgres-lookup --max-workers 16

use std::num::NonZeroUsize;
use std::process::ExitCode;
use std::thread::available_parallelism;

use anyhow::Context;
use async_reduce::{Call, CallError, Event, Mean, Program, SetUpError, Settings};
use deadpool_postgres::tokio_postgres::error::SqlState;
use deadpool_postgres::tokio_postgres::{Config, Error, NoTls};
use deadpool_postgres::{Manager, Pool, PoolError};
use serde::Deserialize;
use tokio::runtime;

/// Rates accounts by a query, and sends the mean rating of each key and window
#[derive(clap::Args)]
#[command(version)]
struct LookupArgs {
    /// Database with the accounts; best in the environment, where no other user sees its password
    #[arg(long, env, hide_env_values = true)]
    database_url: String,
    /// Connections to it [default: as many as --max-workers, so that an event waits before its call and not within it]
    #[arg(long, env)]
    pool_size: Option<NonZeroUsize>,
}

/// Classes of SQLSTATE after which another attempt may help: conflicts of transactions, lack of resources, and operators,
/// who restart the server.
const TRANSIENT: [&str; 3] = ["40", "53", "57"];

#[derive(Deserialize)]
struct Visit {
    account: i32,
}

struct Lookup(Pool);

impl Lookup {
    fn new(args: &LookupArgs, settings: &Settings) -> Result<Self, SetUpError> {
        let config: Config = args.database_url.parse().context("--database-url")?;
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        // A wrong password ends the program now, and not every call later.
        let connected = runtime.block_on(config.connect(NoTls));
        drop(connected.context("--database-url")?);
        let connections = args
            .pool_size
            .unwrap_or(settings.max_workers(available_parallelism()?));
        let pool = Pool::builder(Manager::new(config, NoTls)).max_size(connections.get());
        Ok(Self(pool.build()?))
    }
}

impl Call for Lookup {
    type Answer = f64;

    async fn call(&self, event: &Event) -> Result<f64, CallError> {
        let Visit { account } = event.json()?;
        let client = self.0.get().await.map_err(unconnected)?;
        let query = client
            .prepare_cached("SELECT rating_of($1)")
            .await
            .map_err(failed)?;
        let row = client.query_opt(&query, &[&account]).await.map_err(failed)?;
        let row = row.ok_or_else(|| CallError::new("no-account"))?;
        row.try_get(0).map_err(CallError::bad_body)
    }
}

fn unconnected(error: PoolError) -> CallError {
    match error {
        PoolError::Backend(error) => failed(error),
        other => CallError::new("no-connection").because(other),
    }
}

/// What the server says is told by its code alone, as its message may quote the event.
fn failed(error: Error) -> CallError {
    match error.code().map(SqlState::code) {
        Some(code) => CallError::new("refused-query")
            .because(code)
            .retry(TRANSIENT.iter().any(|class| code.starts_with(class))),
        None => CallError::new("broken").because(error),
    }
}

fn main() -> ExitCode {
    Program::new().run(|args, settings| Ok((Lookup::new(args, settings)?, Mean::default)))
}
