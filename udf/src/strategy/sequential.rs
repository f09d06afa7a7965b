//! One call, then the next: one call in flight per key and window.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::mpsc::UnboundedReceiver;

use super::concurrent::{attempts, ended};
use super::{Executor, Retry, Strategy};
use crate::tally::{InFlight, Tally};
use crate::window::{Queued, Window};

pub(super) struct Sequential<E> {
    executor: Arc<E>,
    retry: Retry,
}

impl<E: Executor> Sequential<E> {
    pub(super) fn new(executor: E, retry: Retry) -> Self {
        Self {
            executor: Arc::new(executor),
            retry,
        }
    }
}

#[async_trait]
impl<E: Executor> Strategy for Sequential<E> {
    async fn run(&self, _window: &Window, mut events: UnboundedReceiver<Queued>) -> Tally {
        let mut tally = Tally::default();
        let in_flight = Arc::new(InFlight::default());
        while let Some(queued) = events.recv().await {
            tally.slot_wait.record(queued.since.elapsed());
            drop(queued.place);
            let (executor, retry, in_flight) =
                (Arc::clone(&self.executor), self.retry, Arc::clone(&in_flight));
            let event = Arc::new(queued.event);
            // A task of its own, so that a panic in the call stays in it.
            let call = async move { attempts(&*executor, &event, retry, &in_flight, None).await };
            tally.count(ended(tokio::spawn(call).await));
        }
        tally.peak_in_flight = in_flight.peak();
        tally
    }
}
