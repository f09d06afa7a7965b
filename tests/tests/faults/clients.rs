//! Everything that calls an endpoint: strategies, and the HTTP clients that they can be given.

use std::net::SocketAddr;

use tests::reduce::Udf;

/// Strategies that use other forms of a client: tasks, threads, child processes.
pub const STRATEGIES: [&str; 3] = ["async", "thread-pool", "process-pool"];

/// Flags of every way to call that a hostile endpoint must be endured by.
pub fn callers() -> Vec<Vec<&'static str>> {
    let clients = ["--http-client=reqwest", "--http-client=hyper"];
    STRATEGIES
        .iter()
        .flat_map(|strategy| clients.map(|client| vec!["--strategy", strategy, client]))
        .collect()
}

/// A UDF that calls so, with these further flags.
pub async fn udf(caller: &[&str], url: &str, more: &[&str]) -> Udf {
    Udf::start(&[&["--endpoint-url", url], caller, more].concat(), &[]).await
}

/// The same, and where it tells its metrics.
pub async fn telling_udf(caller: &[&str], url: &str, more: &[&str]) -> (Udf, SocketAddr) {
    Udf::start_with_metrics(&[&["--endpoint-url", url], caller, more].concat(), &[]).await
}
