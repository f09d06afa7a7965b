//! An endpoint that misbehaves: it resets connections, floods, loops, never answers or does not speak HTTP, decided
//! for each call, and it records the calls. It writes HTTP/1.1 by hand, because a library would not send such
//! answers.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};
use wire::IDEMPOTENCY_KEY;

/// Bytes per write of a flood.
static PIECE: [u8; 64 * 1024] = [b'0'; 64 * 1024];

/// The answer to one call.
#[derive(Debug, Clone)]
pub enum Answer {
    /// A good answer.
    Good,
    /// A good answer with this body.
    Body(&'static str),
    /// This status and these further header lines, each with its line end.
    Status(u16, &'static str),
    /// Bytes that are not HTTP, then the connection closes.
    Garbage,
    /// No answer; the connection is reset.
    Reset,
    /// Half of the announced body, then a reset.
    ResetMidBody,
    /// Half of the announced body, then the connection closes.
    EndMidBody,
    /// No answer, but the connection stays open.
    Never,
    /// A late answer with status 500. A client that takes it for the answer of another call is found out.
    Late(Duration),
    /// A body of this many bytes.
    Flood(u64),
    /// A chunked body without end.
    EndlessChunks,
    /// A header of this many bytes.
    LongHeader(usize),
    /// The same interim answer (status 103) again and again.
    EndlessInterim,
    /// A redirect to itself.
    Redirect,
    /// These bytes of gzip, which the client did not request.
    Bomb(Arc<[u8]>),
    /// A byte of the body every 20 ms, without end.
    Drip,
}

/// A running hostile endpoint; it stops when dropped.
#[derive(Debug)]
pub struct Hostile {
    /// Its URL, without a slash at the end.
    pub url: String,
    seen: Arc<Seen>,
    server: AbortHandle,
}

/// The calls so far.
#[derive(Debug, Default)]
struct Seen {
    calls: Mutex<BTreeMap<String, Vec<Instant>>>,
    open: AtomicU64,
}

/// Chooses the answer from the event's index and the attempt number (1-based).
type Behaviour = Arc<dyn Fn(u64, usize) -> Answer + Send + Sync>;

impl Hostile {
    /// Listens on a free port of the loopback. `behaviour` gets the event's index and the attempt number (1-based).
    ///
    /// # Panics
    /// Panics if no port is free.
    pub async fn start(behaviour: impl Fn(u64, usize) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address: SocketAddr = listener.local_addr().expect("an address");
        let seen = Arc::new(Seen::default());
        let (shared, behaviour): (_, Behaviour) = (Arc::clone(&seen), Arc::new(behaviour));
        let server = tokio::spawn(async move {
            // Dropping this task drops the connections.
            let mut connections = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.expect("a connection");
                connections.spawn(connection(stream, Arc::clone(&behaviour), Arc::clone(&shared)));
                while connections.try_join_next().is_some() {}
            }
        });
        Self {
            url: format!("http://{address}"),
            seen,
            server: server.abort_handle(),
        }
    }

    /// Gives every call the same answer.
    pub async fn always(answer: Answer) -> Self {
        Self::start(move |_, _| answer.clone()).await
    }

    /// The times of the calls by idempotency key, in order.
    pub fn calls(&self) -> BTreeMap<String, Vec<Instant>> {
        self.seen.calls().clone()
    }

    /// Number of calls so far.
    pub fn count(&self) -> u64 {
        self.seen.calls().values().map(|times| times.len() as u64).sum()
    }

    /// Number of connections that are open now.
    pub fn open(&self) -> u64 {
        self.seen.open.load(Ordering::SeqCst)
    }

    /// Forgets the calls so far.
    pub fn forget(&self) {
        self.seen.calls().clear();
    }
}

impl Drop for Hostile {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Seen {
    fn calls(&self) -> MutexGuard<'_, BTreeMap<String, Vec<Instant>>> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records a call and returns the event's index and the attempt number (1-based).
    fn note(&self, key: String) -> (u64, usize) {
        let index = wire::parse_idempotency_key(&key).map_or(0, |(_, index)| index);
        let mut calls = self.calls();
        let times = calls.entry(key).or_default();
        times.push(Instant::now());
        (index, times.len())
    }
}

/// Counts a connection while it lives.
struct Open<'a>(&'a AtomicU64);

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

async fn connection(stream: TcpStream, behaviour: Behaviour, seen: Arc<Seen>) {
    seen.open.fetch_add(1, Ordering::SeqCst);
    let _open = Open(&seen.open);
    let (read, mut write) = stream.into_split();
    let mut read = BufReader::new(read);
    // The client ends the connection by disconnecting, whatever the answer is.
    while let Ok(Some(key)) = request(&mut read).await {
        let (index, times) = seen.note(key);
        let answer = behaviour(index, times);
        let answering = tokio::select! {
            answered = send(&answer, &mut write) => answered,
            _ = read.fill_buf() => return,
        };
        if !matches!(answering, Ok(true)) {
            return;
        }
    }
}

/// The idempotency key of the next request; `None` if the client has disconnected.
async fn request(read: &mut BufReader<OwnedReadHalf>) -> io::Result<Option<String>> {
    let mut key = String::new();
    loop {
        let mut line = String::new();
        if read.read_line(&mut line).await? == 0 {
            return Ok(None);
        }
        let line = line.trim_end();
        if line.is_empty() {
            return Ok(Some(key));
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case(IDEMPOTENCY_KEY)
        {
            key = value.trim().to_owned();
        }
    }
}

/// Sends the answer; returns whether the connection continues.
async fn send(answer: &Answer, to: &mut OwnedWriteHalf) -> io::Result<bool> {
    match answer {
        Answer::Good => good(to, "pong\n").await?,
        Answer::Body(body) => good(to, body).await?,
        Answer::Status(code, headers) => {
            let text = format!("HTTP/1.1 {code} Status\r\n{headers}content-length: 0\r\n\r\n");
            write(to, &text).await?;
        }
        Answer::Garbage => {
            write(to, "220 mail.example.org ESMTP\r\n").await?;
            return Ok(false);
        }
        Answer::Reset => return reset(to),
        Answer::ResetMidBody | Answer::EndMidBody => {
            write(to, "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf\n").await?;
            if matches!(answer, Answer::ResetMidBody) {
                return reset(to);
            }
            return Ok(false);
        }
        Answer::Never => std::future::pending().await,
        Answer::Late(by) => {
            tokio::time::sleep(*by).await;
            write(to, "HTTP/1.1 500 Late\r\ncontent-length: 5\r\n\r\nlate\n").await?;
        }
        Answer::Redirect => {
            let text = "HTTP/1.1 302 Found\r\nlocation: /ping?delay=0\r\ncontent-length: 0\r\n\r\n";
            write(to, text).await?;
        }
        Answer::Bomb(bytes) => {
            let length = bytes.len();
            let head =
                format!("HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: {length}\r\n\r\n");
            write(to, &head).await?;
            to.write_all(bytes).await?;
        }
        Answer::Flood(_)
        | Answer::EndlessChunks
        | Answer::LongHeader(_)
        | Answer::EndlessInterim
        | Answer::Drip => pour(answer, to).await?,
    }
    Ok(true)
}

async fn good(to: &mut OwnedWriteHalf, body: &str) -> io::Result<()> {
    let length = body.len();
    write(
        to,
        &format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{body}"),
    )
    .await
}

/// Sends the answers that do not fit into one write.
async fn pour(answer: &Answer, to: &mut OwnedWriteHalf) -> io::Result<()> {
    match answer {
        Answer::Flood(bytes) => {
            write(to, &format!("HTTP/1.1 200 OK\r\ncontent-length: {bytes}\r\n\r\n")).await?;
            tokio::io::copy(&mut tokio::io::repeat(b'0').take(*bytes), to).await?;
        }
        Answer::EndlessChunks => {
            write(to, "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").await?;
            loop {
                write(to, &format!("{:x}\r\n", PIECE.len())).await?;
                to.write_all(&PIECE).await?;
                write(to, "\r\n").await?;
            }
        }
        Answer::LongHeader(bytes) => {
            write(to, "HTTP/1.1 200 OK\r\nx-long: ").await?;
            tokio::io::copy(&mut tokio::io::repeat(b'x').take(*bytes as u64), to).await?;
            write(to, "\r\ncontent-length: 0\r\n\r\n").await?;
        }
        Answer::EndlessInterim => loop {
            write(to, "HTTP/1.1 103 Early Hints\r\n\r\n").await?;
            tokio::time::sleep(Duration::from_millis(1)).await;
        },
        Answer::Drip => {
            write(to, "HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n").await?;
            loop {
                write(to, "x").await?;
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        _ => {}
    }
    Ok(())
}

async fn write(to: &mut OwnedWriteHalf, text: &str) -> io::Result<()> {
    to.write_all(text.as_bytes()).await
}

/// Makes the connection end with a reset once both halves are dropped.
fn reset(to: &OwnedWriteHalf) -> io::Result<bool> {
    to.as_ref().set_zero_linger()?;
    Ok(false)
}
