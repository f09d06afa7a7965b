//! The UDF's calls through a proxy: on request, by the usual variables, never to a loopback address.

#![allow(clippy::unwrap_used, reason = "shared functions of tests are tests too")]

use assert_cmd::Command as Cli;
use tests::proxy::Proxy;
use tests::reduce::Udf;
use tests::{binary, endpoint};

/// Flags of a UDF that uses proxies.
fn by_proxy(url: &str) -> [&str; 5] {
    ["--endpoint-url", url, "--http-client", "reqwest", "--use-proxy"]
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_go_through_the_proxy_only_where_the_variables_and_the_setting_say_so() {
    let (_endpoint, url) = endpoint(&[]).await;
    let proxy = Proxy::start(url.strip_prefix("http://").unwrap().parse().unwrap()).await;
    let http_proxy = format!("http://{}", proxy.address);
    // Only the proxy knows this name.
    let named = "http://endpoint.invalid:9888";
    let variables = |no_proxy: &'static str| [("HTTP_PROXY", http_proxy.as_str()), ("NO_PROXY", no_proxy)];

    let mut udf = Udf::start(&by_proxy(named), &variables("")).await;
    assert_eq!(udf.window(0, 1, 3).await[0].ok(), 3);
    let seen = proxy.requests();
    assert!(
        !seen.is_empty()
            && seen
                .iter()
                .all(|line| line.starts_with("GET http://endpoint.invalid:9888/ping?delay=0 ")),
        "{seen:?}"
    );

    // Without the setting, by an exception, to a loopback address: not through the proxy.
    let without = ["--endpoint-url", named, "--http-client", "reqwest"];
    let mut udf = Udf::start(&without, &variables("")).await;
    assert_eq!(udf.window(0, 1, 3).await[0].ok(), 0);
    let mut udf = Udf::start(&by_proxy(named), &variables("endpoint.invalid")).await;
    assert_eq!(udf.window(0, 1, 3).await[0].ok(), 0);
    let mut udf = Udf::start(&by_proxy(&url), &variables("")).await;
    assert_eq!(udf.window(0, 1, 3).await[0].ok(), 3);
    assert_eq!(proxy.requests().len(), seen.len(), "{:?}", proxy.requests());
}

#[test]
fn a_proxy_with_the_other_client_is_refused() {
    let output = Cli::new(binary("udf"))
        .args(["--endpoint-url", "http://endpoint:9888", "--use-proxy"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("use_proxy: needs --http-client reqwest"), "{said}");
}
