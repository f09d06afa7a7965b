//! Requests over connections of `hyper::client::conn::http1`, which are driven by the task or the thread that makes the
//! call: nothing is spawned, no other task has to wake up before a request is sent or its answer is seen, and a call
//! that is dropped takes its connection with it. [`in_task`] and [`on_thread`] are the two ways to wait for a socket.

mod connection;
mod idle;
mod in_task;
mod on_thread;
mod origin;

use std::time::Duration;

use wire::Outcome;

use super::{Answer, HttpCallError, Request, Target};
use crate::call_error::CallError;

use connection::{Connection, Sockets, Unanswered};
use idle::Idle;
use in_task::InTask;
use on_thread::OnThread;
use origin::Origin;

/// Calls one origin over connections of its own, one for each call in flight.
pub(super) struct HyperClient {
    origin: Origin,
    max_answer_bytes: usize,
    in_tasks: Idle<Box<Connection<InTask>>>,
    on_threads: Idle<Box<Connection<OnThread>>>,
}

impl HyperClient {
    pub(super) fn new(target: &Target) -> Result<Self, HttpCallError> {
        Ok(Self {
            origin: Origin::new(target)?,
            max_answer_bytes: target.max_answer_bytes(),
            in_tasks: Idle::new(target.idle_timeout()),
            on_threads: Idle::new(target.idle_timeout()),
        })
    }

    /// Calls `again` for a request that is sent once more, `None` if it may not be. The caller drops it when the time of the
    /// attempt is over.
    pub(super) async fn send(&self, request: Request, again: impl Fn() -> Option<Request>) -> Answer {
        self.exchange(&InTask, &self.in_tasks, request, again).await
    }

    pub(super) fn send_blocking(
        &self,
        request: Request,
        again: impl Fn() -> Option<Request>,
        timeout: Duration,
    ) -> Answer {
        let thread = OnThread::new(timeout);
        thread
            .block_on(self.exchange(&thread, &self.on_threads, request, again))
            .unwrap_or_else(|| Err(Outcome::Timeout.into()))
    }

    async fn exchange<S: Sockets>(
        &self,
        sockets: &S,
        idle: &Idle<Box<Connection<S>>>,
        mut request: Request,
        again: impl Fn() -> Option<Request>,
    ) -> Answer {
        // Whether a connection may be used that was used before.
        let mut may_reuse = true;
        loop {
            let unused = if may_reuse { idle.take() } else { None };
            let (mut connection, reused) = match unused {
                Some((connection, unused)) => {
                    sockets.resume(&connection.handle, unused).await;
                    (connection, true)
                }
                // Boxed, as its kilobyte would otherwise be part of every call in flight.
                None => (Box::new(Box::pin(self.origin.connect(sockets)).await?), false),
            };
            match connection.send(request, self.max_answer_bytes).await {
                Ok(answer) => {
                    if connection.park() {
                        idle.put(connection);
                    }
                    return Ok(answer);
                }
                // The peer had closed it while it was unused: try the next, and a new one after the last.
                Err(Unanswered::Unsent(unsent)) if reused => request = *unsent,
                // The close and the request have crossed. Others that were unused as long may have the same fate.
                Err(Unanswered::Ended(error)) if reused => {
                    request = again().ok_or(error)?;
                    may_reuse = false;
                }
                Err(Unanswered::Unsent(_)) => {
                    return Err(CallError::from(Outcome::Broken)
                        .because("the connection was closed before it took a request"));
                }
                Err(Unanswered::Ended(error) | Unanswered::Failed(error)) => return Err(error),
            }
        }
    }
}
