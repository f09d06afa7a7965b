//! SIGINT and SIGTERM. Handlers are installed before a command begins: in a container the program is process 1, which
//! ignores both signals without a handler.

use std::future::Future;
use std::io;

use anyhow::anyhow;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::failure::Failure;

/// A signal that ends the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopSignal {
    Interrupt,
    Terminate,
}

/// Tells when the first of these signals has arrived. The second one exits the process at once.
#[derive(Debug, Clone)]
pub struct Stop(watch::Receiver<Option<StopSignal>>);

impl StopSignal {
    /// The exit status by the shells' convention: 128 and the signal's number.
    pub fn exit(self) -> u8 {
        match self {
            Self::Interrupt => 130,
            Self::Terminate => 143,
        }
    }
}

impl Stop {
    /// Installs the handlers.
    ///
    /// # Errors
    /// Returns an error if the system refuses them.
    pub fn listen() -> io::Result<Self> {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let (sender, receiver) = watch::channel(None);
        tokio::spawn(async move {
            loop {
                let arrived = tokio::select! {
                    _ = interrupt.recv() => StopSignal::Interrupt,
                    _ = terminate.recv() => StopSignal::Terminate,
                };
                if sender.send_replace(Some(arrived)).is_some() {
                    std::process::exit(arrived.exit().into());
                }
            }
        });
        Ok(Self(receiver))
    }

    /// Waits for the first signal; returns at once if it has arrived.
    pub async fn requested(&self) -> StopSignal {
        let mut receiver = self.0.clone();
        match receiver.wait_for(Option::is_some).await.map(|arrived| *arrived) {
            Ok(Some(arrived)) => arrived,
            _ => std::future::pending().await,
        }
    }

    /// Runs `work` until it ends or a signal arrives, which drops it.
    ///
    /// # Errors
    /// Returns the error of `work`, or `interrupted` with the signal's exit status.
    pub async fn or<T, E: Into<Failure>>(
        &self,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, Failure> {
        tokio::select! {
            done = work => done.map_err(Into::into),
            arrived = self.requested() => Err(Failure { error: anyhow!("interrupted"), exit: arrived.exit() }),
        }
    }
}

/// Runs a command on a runtime of its own until it ends or a signal arrives.
///
/// # Errors
/// Returns the command's error, or `interrupted` with the signal's exit status.
pub fn until_stopped<T, E: Into<Failure>>(command: impl Future<Output = Result<T, E>>) -> Result<T, Failure> {
    on_runtime(|stop| async move { stop.or(command).await })
}

/// Runs a command that stops by itself when a signal arrives.
///
/// # Errors
/// Returns the command's error, or one if the runtime or the handlers cannot be set up.
pub fn on_runtime<T, F: Future<Output = Result<T, Failure>>>(
    command: impl FnOnce(Stop) -> F,
) -> Result<T, Failure> {
    let cannot = |error: io::Error| anyhow!("cannot start the runtime: {error}");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.map_err(cannot)?.block_on(async {
        let stop = Stop::listen().map_err(|error| anyhow!("cannot listen to signals: {error}"))?;
        command(stop).await
    })
}
