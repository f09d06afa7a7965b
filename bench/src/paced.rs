//! HTTP calls at a steady rate from blocking threads, so that a latency is that of the call and not of a runtime's
//! timer.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// Calls made before the measurement starts.
const WARM_UP: Duration = Duration::from_millis(300);

/// Longest wait for an answer.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Target and rate of the calls.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    pub address: SocketAddr,
    /// Path and query.
    pub path: &'static str,
    /// Number of threads, each with one connection and one call at a time.
    pub threads: u32,
    /// Calls per second over all threads.
    pub per_second: u32,
    /// Length of the measurement.
    pub time: Duration,
}

/// The sorted durations of the calls. Blocks.
pub fn latencies(pace: Pace) -> io::Result<Vec<Duration>> {
    let start = Instant::now() + Duration::from_millis(20);
    let mut all = Vec::new();
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..pace.threads)
            .map(|thread| scope.spawn(move || one_thread(pace, thread, start)))
            .collect();
        for thread in threads {
            let latencies = thread
                .join()
                .unwrap_or_else(|_| Err(io::Error::other("a thread of the calls panicked")))?;
            all.extend(latencies);
        }
        Ok::<_, io::Error>(())
    })?;
    all.sort_unstable();
    Ok(all)
}

fn one_thread(pace: Pace, thread: u32, start: Instant) -> io::Result<Vec<Duration>> {
    let mut connection = Connection::open(pace.address)?;
    let interval = Duration::from_secs(1) * pace.threads / pace.per_second;
    let first = start + interval * thread / pace.threads;
    let mut latencies = Vec::new();
    for call in 0.. {
        let due = first + interval * call;
        if due > start + WARM_UP + pace.time {
            break;
        }
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        let sent = Instant::now();
        connection.get(pace.path)?;
        if due > start + WARM_UP {
            latencies.push(sent.elapsed());
        }
    }
    Ok(latencies)
}

/// A connection that is kept for many calls.
struct Connection {
    address: SocketAddr,
    stream: TcpStream,
}

impl Connection {
    fn open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        Ok(Self { address, stream })
    }

    /// Returns the body of the answer, which must have status 200 and a known length.
    fn get(&mut self, path: &str) -> io::Result<Vec<u8>> {
        let request = format!("GET {path} HTTP/1.1\r\nhost: {}\r\n\r\n", self.address);
        self.stream.write_all(request.as_bytes())?;
        let mut answer = Vec::new();
        let mut buffer = [0; 16 * 1024];
        loop {
            let read = self.stream.read(&mut buffer)?;
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            answer.extend_from_slice(&buffer[..read]);
            if let Some(body) = body(&answer)? {
                return Ok(body.to_vec());
            }
        }
    }
}

/// The body, once it is complete.
fn body(answer: &[u8]) -> io::Result<Option<&[u8]>> {
    let Some(end) = answer.windows(4).position(|window| window == b"\r\n\r\n") else {
        return Ok(None);
    };
    let head = String::from_utf8_lossy(&answer[..end]).to_ascii_lowercase();
    if !head.starts_with("http/1.1 200") {
        return Err(io::Error::other(
            head.lines().next().unwrap_or_default().to_owned(),
        ));
    }
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
    let length: usize = length.ok_or_else(|| io::Error::other("an answer without length"))?;
    Ok(answer.get(end + 4..end + 4 + length))
}

/// A single call on its own connection.
pub fn get(address: SocketAddr, path: &str) -> io::Result<Vec<u8>> {
    Connection::open(address)?.get(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_read_when_all_of_it_is_there() {
        let head = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n".to_vec();
        assert_eq!(body(&head[..20]).unwrap(), None);
        assert_eq!(body(&head).unwrap(), None);
        let whole = [&head[..], b"pong\n"].concat();
        assert_eq!(body(&whole).unwrap(), Some(&b"pong\n"[..]));
        assert!(body(b"HTTP/1.1 500 Error\r\n\r\n").is_err());
        assert!(body(b"HTTP/1.1 200 OK\r\n\r\n").is_err());
    }
}
