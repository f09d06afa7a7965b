//! One call, then the next: one call in flight per key and window.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::mpsc::UnboundedReceiver;

use super::concurrent::{attempts, ended};
use super::{Executor, Retry, Strategy};
use crate::metrics::Metrics;
use crate::tally::{Counting, Tally};
use crate::window::{Queued, Window};

pub(super) struct Sequential<E> {
    executor: Arc<E>,
    retry: Retry,
    metrics: Arc<Metrics>,
}

impl<E: Executor> Sequential<E> {
    pub(super) fn new(executor: E, retry: Retry, metrics: Arc<Metrics>) -> Self {
        Self {
            executor: Arc::new(executor),
            retry,
            metrics,
        }
    }
}

#[async_trait]
impl<E: Executor> Strategy for Sequential<E> {
    async fn run(&self, _window: &Window, mut events: UnboundedReceiver<Queued>) -> Tally {
        let mut counting = Counting::new(&self.metrics);
        while let Some(queued) = events.recv().await {
            counting.waited(queued.since.elapsed());
            drop(queued.place);
            let (executor, retry, in_flight) = (Arc::clone(&self.executor), self.retry, counting.in_flight());
            let event = Arc::new(queued.event);
            // A task of its own, so that a panic in the call stays in it.
            let call = async move { attempts(&*executor, &event, retry, &in_flight, None).await };
            counting.ended(ended(tokio::spawn(call).await));
        }
        counting.finish()
    }
}
