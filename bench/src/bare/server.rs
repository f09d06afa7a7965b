//! A server of hyper that answers at once without reading the request: an upper bound for any server on hyper.

use std::convert::Infallible;
use std::net::SocketAddr;

use bytes::Bytes;
use http_body_util::Full;
use hyper::Response;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

use super::Failed;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Address to listen on
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
}

/// Serves until it is killed.
pub async fn run(args: Args) -> Result<(), Failed> {
    let listener = TcpListener::bind(args.listen).await?;
    let announced = wire::AnnouncedAddress {
        listening: listener.local_addr()?,
    };
    println!("{}", serde_json::to_string(&announced)?);
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::spawn(async move {
            let answer = service_fn(|_| async {
                Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(b"pong\n"))))
            });
            // A client that disconnects is no error here.
            let _ = http1::Builder::new()
                .serve_connection(TokioIo::new(stream), answer)
                .await;
        });
    }
}
