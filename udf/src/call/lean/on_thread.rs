//! A connection that a thread waits for.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use rustix::net::{RecvFlags, recv};

use super::answer::{Answer, PIECE_BYTES, Reader};
use super::idle::FRESH;
use super::{Failure, LeanCall};

/// An open connection.
pub(super) struct Connection {
    stream: TcpStream,
    /// How long the system waits for a read of it.
    wait: Duration,
}

impl Connection {
    pub(super) fn open(to: &LeanCall, deadline: Instant) -> Result<Self, Failure> {
        let stream = connect(to, deadline)?;
        let set = || {
            stream.set_nodelay(true)?;
            stream.set_write_timeout(Some(to.timeout))?;
            stream.set_read_timeout(Some(to.timeout))
        };
        set().map_err(|_| Failure::NoAnswer)?;
        Ok(Self {
            stream,
            wait: to.timeout,
        })
    }

    /// Whether it can carry another request, after it was unused for a while: nothing has come, nor its end.
    pub(super) fn is_open(&self, unused: Duration) -> bool {
        let look = || {
            let mut byte = [0];
            recv(&self.stream, &mut byte, RecvFlags::PEEK | RecvFlags::DONTWAIT)
        };
        unused <= FRESH || look() == Err(rustix::io::Errno::WOULDBLOCK)
    }

    /// Sends a request and reads its answer to the end, by the deadline.
    pub(super) fn exchange(&mut self, request: &[u8], deadline: Instant) -> Result<Answer, Failure> {
        self.stream
            .write_all(request)
            .map_err(|error| match error.kind() {
                io::ErrorKind::WouldBlock => Failure::TimedOut,
                _ => Failure::Unsent,
            })?;
        let mut reader = Reader::default();
        let mut room = [0; PIECE_BYTES];
        loop {
            self.wait_until(deadline)?;
            match self.stream.read(&mut room) {
                Ok(0) => return reader.end(),
                Ok(length) => {
                    if let Some(answer) = reader.read(&room[..length])? {
                        return Ok(answer);
                    }
                }
                Err(error) => match error.kind() {
                    io::ErrorKind::Interrupted => {}
                    io::ErrorKind::WouldBlock => return Err(Failure::TimedOut),
                    _ => return reader.end(),
                },
            }
        }
    }

    /// Bounds the next read. A call that has just begun has the whole of its time left, for which the system waits
    /// already.
    fn wait_until(&mut self, deadline: Instant) -> Result<(), Failure> {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(Failure::TimedOut);
        }
        if left + FRESH < self.wait || left > self.wait {
            self.stream
                .set_read_timeout(Some(left))
                .map_err(|_| Failure::NoAnswer)?;
            self.wait = left;
        }
        Ok(())
    }
}

fn connect(to: &LeanCall, deadline: Instant) -> Result<TcpStream, Failure> {
    let addresses: Vec<SocketAddr> = match to.address() {
        Some(address) => vec![(address, to.port).into()],
        None => (to.host.as_str(), to.port)
            .to_socket_addrs()
            .map_err(|_| Failure::NoAnswer)?
            .collect(),
    };
    for address in addresses {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(Failure::TimedOut);
        }
        match TcpStream::connect_timeout(&address, left) {
            Ok(stream) => return Ok(stream),
            Err(error) if error.kind() == io::ErrorKind::TimedOut => return Err(Failure::TimedOut),
            Err(_) => {}
        }
    }
    Err(Failure::NoAnswer)
}
