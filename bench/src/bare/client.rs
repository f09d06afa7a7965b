//! Connections of hyper, each sending one request after another on one thread: the ceiling of any HTTP client on hyper.

use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{self, HeaderMap};
use hyper::{Method, Request, Uri};
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
    /// Post a body of so many bytes, in place of GET
    #[arg(long)]
    post_bytes: Option<usize>,
    /// Value of the header `authorization`
    #[arg(long)]
    authorization: Option<String>,
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

/// A request, sent again and again.
#[derive(Clone)]
struct Asked {
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
}

impl Asked {
    fn new(args: &Args) -> Result<Self, Failed> {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, args.address.to_string().parse()?);
        if let Some(value) = &args.authorization {
            headers.insert(header::AUTHORIZATION, value.parse()?);
        }
        Ok(Self {
            method: args.post_bytes.map_or(Method::GET, |_| Method::POST),
            uri: args.path.parse()?,
            headers,
            body: vec![b'x'; args.post_bytes.unwrap_or_default()].into(),
        })
    }

    fn request(&self) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::new(self.body.clone()));
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.uri.clone();
        *request.headers_mut() = self.headers.clone();
        request
    }
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
    let asked = Asked::new(args)?;
    let mut tails_ms = Vec::new();
    for burst in 0..=count {
        let begun = Instant::now();
        let mut calls = JoinSet::new();
        for mut sender in senders.drain(..) {
            let request = asked.request();
            calls.spawn_local(async move {
                ask(&mut sender, request).await?;
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
    let asked = Asked::new(&args)?;
    let mut connections = JoinSet::new();
    for _ in 0..args.connections {
        let stream = TcpStream::connect(args.address).await?;
        stream.set_nodelay(true)?;
        connections.spawn_local(call(stream, asked.clone(), Rc::clone(&calls)));
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

async fn call(stream: TcpStream, asked: Asked, calls: Rc<Cell<u64>>) -> Result<(), Failed> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let polling = async {
        loop {
            ask(&mut sender, asked.request()).await?;
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
async fn ask(sender: &mut SendRequest<Full<Bytes>>, request: Request<Full<Bytes>>) -> Result<(), Failed> {
    sender.ready().await?;
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
