//! A connection that a task waits for.

use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;

use super::answer::{Answer, PIECE_BYTES, Reader};
use super::idle::FRESH;
use super::{Failure, LeanCall};

/// An open connection.
pub(super) struct Connection(TcpStream);

impl Connection {
    pub(super) async fn open(to: &LeanCall) -> io::Result<Self> {
        let stream = match to.address() {
            Some(address) => TcpStream::connect((address, to.port)).await?,
            None => TcpStream::connect((to.host.as_str(), to.port)).await?,
        };
        stream.set_nodelay(true)?;
        Ok(Self(stream))
    }

    /// Whether it can carry another request, after it was unused for a while: nothing has come, nor its end.
    pub(super) async fn is_open(&mut self, unused: Duration) -> bool {
        if unused > FRESH {
            // The runtime learns what has happened to its sockets only when it looks.
            tokio::task::yield_now().await;
        }
        poll_fn(|context| Poll::Ready(self.poll_read(context, |_| ()).is_pending())).await
    }

    /// Sends a request and reads its answer to the end.
    pub(super) async fn exchange(&mut self, request: &[u8]) -> Result<Answer, Failure> {
        if self.0.write_all(request).await.is_err() {
            return Err(Failure::Unsent);
        }
        let mut reader = Reader::default();
        poll_fn(|context| {
            loop {
                match ready!(self.poll_read(context, |piece| reader.read(piece))) {
                    Ok(Some(read)) => {
                        if let Some(answer) = read? {
                            return Poll::Ready(Ok(answer));
                        }
                    }
                    Ok(None) | Err(_) => return Poll::Ready(reader.end()),
                }
            }
        })
        .await
    }

    /// Hands the next piece to `take`; nothing at the end.
    fn poll_read<T>(
        &mut self,
        context: &mut Context<'_>,
        take: impl FnOnce(&[u8]) -> T,
    ) -> Poll<io::Result<Option<T>>> {
        // On the stack of one poll: ten thousand waiting connections need no room for it.
        let mut room = [const { MaybeUninit::uninit() }; PIECE_BYTES];
        let mut piece = ReadBuf::uninit(&mut room);
        ready!(Pin::new(&mut self.0).poll_read(context, &mut piece))?;
        let piece = piece.filled();
        Poll::Ready(Ok((!piece.is_empty()).then(|| take(piece))))
    }
}
