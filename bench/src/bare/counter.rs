//! A reducer on the Rust SDK that only counts: an upper bound for any reduce UDF on it.

use std::path::PathBuf;

use async_trait::async_trait;
use numaflow::reduce::{Message, Metadata, ReduceRequest, Reducer, ReducerCreator, Server};
use numaflow::shared::ServerExtras;
use tokio::sync::mpsc::Receiver;

use super::Failed;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Unix socket to serve on
    #[arg(long, env = "SOCKET")]
    socket: PathBuf,
    /// File that the program writes once it serves
    #[arg(long, env = "SERVER_INFO")]
    server_info: PathBuf,
    /// Run on one thread, in place of one for each core as the SDK's examples do
    #[arg(long)]
    pub one_thread: bool,
}

struct Counter;

#[async_trait]
impl Reducer for Counter {
    async fn reduce(
        &self,
        keys: Vec<String>,
        mut input: Receiver<ReduceRequest>,
        _: &Metadata,
    ) -> Vec<Message> {
        let mut events = 0_u64;
        while input.recv().await.is_some() {
            events += 1;
        }
        let result = format!("{{\"events\":{events},\"ok\":{events}}}");
        vec![Message::new(result.into_bytes()).with_keys(keys)]
    }
}

impl ReducerCreator for Counter {
    type R = Self;

    fn create(&self) -> Self {
        Self
    }
}

pub async fn run(args: Args) -> Result<(), Failed> {
    Server::new(Counter)
        .with_server_info_file(args.server_info)
        .with_socket_file(args.socket)
        .start()
        .await
}
