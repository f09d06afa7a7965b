//! Requests over connections of `hyper::client::conn::http1`, which are driven by the task or the thread that makes the
//! call: nothing is spawned, no other task has to wake up before a request is sent or its answer is seen, and a call
//! that is dropped takes its connection with it. [`in_task`] and [`on_thread`] are the two ways to wait for a socket.

mod connection;
mod idle;
mod in_task;
mod on_thread;
mod origin;

use std::time::Duration;

use http_body_util::Empty;
use hyper::body::Bytes;
use hyper::header::HeaderMap;
use hyper::{Request, Uri};
use wire::Outcome;

use super::{Answer, HttpCallError, Target, unanswered};

use connection::{Connection, Sockets, Unanswered};
use idle::Idle;
use in_task::InTask;
use on_thread::OnThread;
use origin::Origin;

/// Calls one origin over connections of its own, one for each call in flight.
pub(super) struct HyperClient {
    origin: Origin,
    path: Uri,
    in_tasks: Idle<Connection<InTask>>,
    on_threads: Idle<Connection<OnThread>>,
}

impl HyperClient {
    pub(super) fn new(target: &Target) -> Result<Self, HttpCallError> {
        Ok(Self {
            origin: Origin::new(target)?,
            path: target.path().clone(),
            in_tasks: Idle::default(),
            on_threads: Idle::default(),
        })
    }

    /// Dropped when the time of the attempt is over.
    pub(super) async fn get(&self, headers: HeaderMap) -> Answer {
        self.exchange(&InTask, &self.in_tasks, headers).await
    }

    pub(super) fn get_blocking(&self, headers: HeaderMap, timeout: Duration) -> Answer {
        let thread = OnThread::new(timeout);
        thread
            .block_on(self.exchange(&thread, &self.on_threads, headers))
            .unwrap_or(Err(Outcome::Timeout))
    }

    async fn exchange<S: Sockets>(
        &self,
        sockets: &S,
        idle: &Idle<Connection<S>>,
        headers: HeaderMap,
    ) -> Answer {
        let mut request = Request::new(Empty::<Bytes>::new());
        *request.uri_mut() = self.path.clone();
        *request.headers_mut() = headers;
        loop {
            let (mut connection, reused) = match idle.take() {
                Some((connection, unused)) => {
                    sockets.resume(&connection.handle, unused).await;
                    (connection, true)
                }
                None => match self.origin.connect(sockets).await {
                    Ok(connection) => (connection, false),
                    Err(error) => return Err(unanswered(&error)),
                },
            };
            match connection.exchange(request).await {
                Ok(answer) => {
                    if connection.park() {
                        idle.put(connection);
                    }
                    return Ok(answer);
                }
                // It had been closed while it was unused: the next one, or at last a new one.
                Err(Unanswered::Unsent(unsent)) if reused => request = *unsent,
                Err(Unanswered::Unsent(_)) => return Err(Outcome::Refused),
                Err(Unanswered::Failed(outcome)) => return Err(outcome),
            }
        }
    }
}
