//! A reduce UDF as the examples of Numaflow's SDKs are: it counts the events of each key and window, and serves on paths of
//! its own, whatever its environment says. Here they are in the folder that its first argument names.

use std::path::PathBuf;

use numaflow::reduce::{Message, Metadata, ReduceRequest, Reducer, ReducerCreator, Server};
use numaflow::shared::ServerExtras;
use tokio::sync::mpsc::Receiver;

struct Counter;

impl ReducerCreator for Counter {
    type R = Self;

    fn create(&self) -> Self {
        Self
    }
}

#[async_trait::async_trait]
impl Reducer for Counter {
    async fn reduce(
        &self,
        keys: Vec<String>,
        mut input: Receiver<ReduceRequest>,
        _: &Metadata,
    ) -> Vec<Message> {
        let mut count = 0_u64;
        while input.recv().await.is_some() {
            count += 1;
        }
        vec![Message::new(count.to_string().into_bytes()).with_keys(keys)]
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let folder = PathBuf::from(std::env::args().nth(1).ok_or("the folder is missing")?);
    // The setters remove what is at the default paths: the info file first, so that ours stays.
    let server = Server::new(Counter)
        .with_server_info_file(folder.join("reducer-server-info"))
        .with_socket_file(folder.join("reduce.sock"));
    server.start().await
}
