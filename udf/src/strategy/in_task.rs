//! Runs an attempt as part of the task that asks for it, on the runtime's threads.

use std::sync::Arc;
use std::time::Duration;

use wire::Outcome;

use super::Executor;
use crate::call::{Call, Event};

pub(super) struct InTask {
    call: Arc<dyn Call>,
    timeout: Duration,
}

impl InTask {
    pub(super) fn new(call: Arc<dyn Call>, timeout: Duration) -> Self {
        Self { call, timeout }
    }
}

impl Executor for InTask {
    async fn attempt(&self, event: &Event) -> Outcome {
        tokio::time::timeout(self.timeout, self.call.call(event))
            .await
            .unwrap_or(Outcome::Timeout)
    }
}
