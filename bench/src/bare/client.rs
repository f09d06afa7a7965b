//! Connections of hyper, each sending one request after another on one thread: the ceiling of any HTTP client on hyper.

use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{Request, Uri, header};
use hyper_util::rt::TokioIo;
use serde::{Deserialize, Serialize};
use tokio::net::TcpStream;
use tokio::task::{JoinSet, LocalSet};

use super::Failed;
use crate::cost;

/// What is asked, and how.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Address of the server
    #[arg(long)]
    address: SocketAddr,
    /// Path and query of each request
    #[arg(long, default_value = "/ping?delay=0")]
    path: String,
    /// Connections, each with one request at a time
    #[arg(long, default_value_t = 100)]
    connections: usize,
    /// Seconds to measure, after half a second of warming up
    #[arg(long, default_value_t = 1.0)]
    seconds: f64,
    /// In place of that: so often, send a request on every connection at once and wait for all answers
    #[arg(long)]
    bursts: Option<u32>,
}

/// What came of it, as one line on standard output.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Said {
    /// Calls answered while it was measured.
    pub calls: u64,
    /// Calls answered since the start.
    pub all_calls: u64,
    /// How long it was measured.
    pub seconds: f64,
    /// Processor time of this process meanwhile, microseconds.
    pub cpu_us: f64,
}

/// What came of bursts, likewise.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SaidOfBursts {
    /// From the first request of each to its last answer, milliseconds; the first burst, which warms up, is not told.
    pub tails_ms: Vec<f64>,
}

/// Calls until the time or the bursts are over.
///
/// # Errors
/// Where the server cannot be reached or breaks a connection.
pub async fn run(args: Args) -> Result<(), Failed> {
    // One thread: no other wakes it, which is the cheapest there is.
    let local = LocalSet::new();
    let said = match args.bursts {
        Some(count) => serde_json::to_string(&local.run_until(bursts(&args, count)).await?)?,
        None => serde_json::to_string(&local.run_until(measure(args)).await?)?,
    };
    println!("{said}");
    Ok(())
}

async fn bursts(args: &Args, count: u32) -> Result<SaidOfBursts, Failed> {
    let mut senders = Vec::new();
    let mut connections = JoinSet::new();
    for _ in 0..args.connections {
        let stream = TcpStream::connect(args.address).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        connections.spawn_local(connection);
        senders.push(sender);
    }
    let uri: Uri = args.path.parse()?;
    let host = header::HeaderValue::from_str(&args.address.to_string())?;
    let mut tails_ms = Vec::new();
    for burst in 0..=count {
        let begun = Instant::now();
        let mut calls = JoinSet::new();
        for mut sender in senders.drain(..) {
            let (uri, host) = (uri.clone(), host.clone());
            calls.spawn_local(async move {
                ask(&mut sender, &uri, &host).await?;
                Ok::<_, Failed>(sender)
            });
        }
        while let Some(ended) = calls.join_next().await {
            senders.push(ended??);
        }
        if burst > 0 {
            tails_ms.push(begun.elapsed().as_secs_f64() * 1e3);
        }
    }
    Ok(SaidOfBursts { tails_ms })
}

async fn measure(args: Args) -> Result<Said, Failed> {
    let calls = Rc::new(Cell::new(0_u64));
    let uri: Uri = args.path.parse()?;
    let host = header::HeaderValue::from_str(&args.address.to_string())?;
    let mut connections = JoinSet::new();
    for _ in 0..args.connections {
        let stream = TcpStream::connect(args.address).await?;
        stream.set_nodelay(true)?;
        let (calls, uri, host) = (Rc::clone(&calls), uri.clone(), host.clone());
        connections.spawn_local(call(stream, uri, host, calls));
    }
    let measured = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        let (begun, before, cpu) = (Instant::now(), calls.get(), cost::own()?);
        tokio::time::sleep(Duration::from_secs_f64(args.seconds)).await;
        Ok::<_, Failed>(Said {
            calls: calls.get() - before,
            all_calls: calls.get(),
            seconds: begun.elapsed().as_secs_f64(),
            cpu_us: cost::own()?.since(cpu).time.as_secs_f64() * 1e6,
        })
    };
    tokio::select! {
        said = measured => said,
        Some(ended) = connections.join_next() => Err(match ended {
            Ok(Err(error)) => error,
            Ok(Ok(())) => "a connection ended".into(),
            Err(error) => error.into(),
        }),
    }
}

async fn call(
    stream: TcpStream,
    uri: Uri,
    host: header::HeaderValue,
    calls: Rc<Cell<u64>>,
) -> Result<(), Failed> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let polling = async {
        loop {
            ask(&mut sender, &uri, &host).await?;
            calls.set(calls.get() + 1);
        }
    };
    // In the same task: nothing is handed from one to another.
    tokio::select! {
        ended = polling => ended,
        ended = connection => Ok(ended?),
    }
}

/// One request, and its answer to the end.
async fn ask(
    sender: &mut SendRequest<Empty<Bytes>>,
    uri: &Uri,
    host: &header::HeaderValue,
) -> Result<(), Failed> {
    sender.ready().await?;
    let mut request = Request::new(Empty::<Bytes>::new());
    *request.uri_mut() = uri.clone();
    request.headers_mut().insert(header::HOST, host.clone());
    let answer = sender.send_request(request).await?;
    if !answer.status().is_success() {
        return Err(answer.status().to_string().into());
    }
    let mut body = answer.into_body();
    while let Some(frame) = body.frame().await {
        frame?;
    }
    Ok(())
}
