//! Programs that do nothing but the part that cannot be left out: what they reach is the ceiling of what ours could.

pub mod client;
pub mod counter;
pub mod server;
pub mod source;

use clap::Subcommand;

/// What went wrong, for the user.
pub type Failed = Box<dyn std::error::Error + Send + Sync>;

/// The bare programs.
#[derive(Debug, Subcommand)]
pub enum Bare {
    /// A reducer on the Rust SDK that counts
    Counter(counter::Args),
    /// A source on the Rust SDK that hands out the same small message
    Source(source::Args),
    /// Connections of hyper that send one request after another
    Client(client::Args),
    /// A server of hyper that answers at once
    Server(server::Args),
}

/// Runs one of them until it ends or is killed.
///
/// # Errors
/// What it said.
pub async fn run(bare: Bare) -> Result<(), Failed> {
    match bare {
        Bare::Counter(args) => counter::run(args).await,
        Bare::Source(args) => source::run(args).await,
        Bare::Client(args) => client::run(args).await,
        Bare::Server(args) => server::run(args).await,
    }
}
