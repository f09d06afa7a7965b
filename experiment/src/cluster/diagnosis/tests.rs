//! Diagnoses of objects as a cluster gives them.
#![allow(clippy::unwrap_used, reason = "a test may panic")]
