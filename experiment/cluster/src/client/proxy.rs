//! Through which proxy requests go to the API server. kube compares `NO_PROXY` with the address of the proxy itself, so
//! the decision is made here, by the API server's address, and handed to kube.

use std::env;
use std::net::IpAddr;

use http::Uri;
use hyper_util::client::proxy::matcher::Matcher;
use kube::config::Kubeconfig;

/// The usual variables, in the order in which they are read.
const VARIABLES: [[&str; 4]; 2] = [
    ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"],
    ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"],
];

/// The proxy for an API server; `None` for a direct connection. The kubeconfig's own `proxy-url` is always used, as kubectl
/// does. The variables count unless `NO_PROXY` has the API server, and never for a loopback address.
pub(super) fn proxy_for(
    api_server: &Uri,
    kubeconfig: Option<String>,
) -> Result<Option<Uri>, http::uri::InvalidUri> {
    let of_kubeconfig = kubeconfig.filter(|url| !url.is_empty());
    let chosen = of_kubeconfig
        .or_else(|| of_environment(api_server, &Matcher::from_env(), &|name| env::var(name).ok()));
    chosen.map(|url| url.parse()).transpose()
}

/// The `proxy-url` of a context's cluster, or of the current context's.
pub(super) fn of_kubeconfig(kubeconfig: &Kubeconfig, context: Option<&str>) -> Option<String> {
    let context = context.or(kubeconfig.current_context.as_deref())?;
    let named = kubeconfig.contexts.iter().find(|named| named.name == context)?;
    let cluster = &named.context.as_ref()?.cluster;
    let cluster = kubeconfig.clusters.iter().find(|named| named.name == *cluster)?;
    cluster.cluster.as_ref()?.proxy_url.clone()
}

/// The variable's own text, since the matcher takes the credentials off its URL.
fn of_environment(
    api_server: &Uri,
    matcher: &Matcher,
    variable: &dyn Fn(&str) -> Option<String>,
) -> Option<String> {
    if is_loopback(api_server) || matcher.intercept(api_server).is_none() {
        return None;
    }
    let [https, http] = VARIABLES;
    let names = match api_server.scheme_str() {
        Some("http") => http,
        _ => https,
    };
    let url = names
        .into_iter()
        .filter_map(variable)
        .find(|url| !url.is_empty())?;
    // As curl reads it: without a scheme it is plain HTTP.
    Some(match url.contains("://") {
        true => url,
        false => format!("http://{url}"),
    })
}

fn is_loopback(uri: &Uri) -> bool {
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The proxy for an API server, where all variables but `NO_PROXY` are set.
    fn chosen(api_server: &str, no_proxy: &str) -> Option<String> {
        let proxy = "http://me:secret@127.0.0.1:3128";
        let matcher = Matcher::builder()
            .https(proxy)
            .http("other:80")
            .no(no_proxy)
            .build();
        let variable = |name: &str| match name {
            "HTTPS_PROXY" => Some(String::new()),
            "https_proxy" => Some(proxy.to_owned()),
            "HTTP_PROXY" => Some("other:80".to_owned()),
            _ => None,
        };
        of_environment(&api_server.parse().unwrap(), &matcher, &variable)
    }

    #[test]
    fn no_proxy_is_compared_with_the_api_server() {
        let proxy = Some("http://me:secret@127.0.0.1:3128".to_owned());
        assert_eq!(chosen("https://api.example.org:6443", ""), proxy);
        assert_eq!(
            chosen("https://api.example.org:6443", "127.0.0.1,example.com"),
            proxy
        );
        assert_eq!(
            chosen("http://api.example.org", ""),
            Some("http://other:80".to_owned())
        );
        for no_proxy in ["api.example.org", ".example.org", "example.org", "*"] {
            assert_eq!(
                chosen("https://api.example.org:6443", no_proxy),
                None,
                "{no_proxy}"
            );
        }
        assert_eq!(chosen("https://10.1.2.3", "10.0.0.0/8"), None);
    }

    #[test]
    fn a_loopback_address_never_goes_through_a_proxy() {
        for url in [
            "https://127.0.0.1:6443",
            "https://127.8.8.8",
            "https://[::1]:6443",
            "https://localhost:6443",
        ] {
            assert_eq!(chosen(url, ""), None, "{url}");
        }
    }

    #[test]
    fn a_contexts_own_proxy_is_found() {
        let kubeconfig = Kubeconfig::from_yaml(
            "
current-context: one
contexts:
  - {name: one, context: {cluster: near, user: me}}
  - {name: two, context: {cluster: far, user: me}}
clusters:
  - {name: near, cluster: {server: https://near}}
  - {name: far, cluster: {server: https://far, proxy-url: socks5://127.0.0.1:1080}}
",
        )
        .unwrap();
        assert_eq!(of_kubeconfig(&kubeconfig, None), None);
        let far = of_kubeconfig(&kubeconfig, Some("two"));
        assert_eq!(far.as_deref(), Some("socks5://127.0.0.1:1080"));
        let url = proxy_for(&"https://127.0.0.1:6443".parse().unwrap(), far).unwrap();
        assert_eq!(url.unwrap().scheme_str(), Some("socks5"));
    }
}
