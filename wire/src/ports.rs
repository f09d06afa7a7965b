//! Ports that the programs' defaults, the cluster engine and the chart share; a test compares the chart with them.

/// Where a vertex serves `/metrics` and `/healthz` in a cluster.
pub const METRICS_PORT: u16 = 9100;

/// Where the endpoint listens.
pub const ENDPOINT_PORT: u16 = 9888;
