//! Minimal programs that do only what cannot be left out: upper bounds for ours.

pub mod client;
pub mod counter;
pub mod server;
pub mod source;

use clap::Subcommand;

pub type Failed = Box<dyn std::error::Error + Send + Sync>;

/// Minimal programs.
#[derive(Debug, Subcommand)]
pub enum Bare {
    /// A reducer on the Rust SDK that only counts
    Counter(counter::Args),
    /// A source on the Rust SDK that sends the same message again and again
    Source(source::Args),
    /// Connections of hyper that send one request after another
    Client(client::Args),
    /// A server of hyper that answers at once
    Server(server::Args),
}

impl Bare {
    /// Whether its runtime has one thread, as that of a UDF on the library.
    pub fn on_one_thread(&self) -> bool {
        match self {
            Self::Client(_) => true,
            Self::Counter(args) => args.one_thread,
            Self::Source(_) | Self::Server(_) => false,
        }
    }
}

/// Runs one of them until it ends or is killed.
pub async fn run(bare: Bare) -> Result<(), Failed> {
    match bare {
        Bare::Counter(args) => counter::run(args).await,
        Bare::Source(args) => source::run(args).await,
        Bare::Client(args) => client::run(args).await,
        Bare::Server(args) => server::run(args).await,
    }
}
