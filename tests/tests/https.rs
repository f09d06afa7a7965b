//! Calls to an endpoint behind TLS, with a certificate of an authority that the system knows.

#![allow(clippy::unwrap_used, reason = "shared functions of tests are tests too")]

use std::path::Path;
use std::sync::Arc;

use assert_cmd::Command as Cli;
use tests::reduce::{Udf, count};
use tests::{address, binary, start};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use wire::Outcome;

/// Ends TLS in front of `upstream`; gives its port.
async fn tls_proxy(upstream: std::net::SocketAddr, certified: &rcgen::CertifiedKey<rcgen::KeyPair>) -> u16 {
    let _ = tokio_rustls::rustls::crypto::ring::default_provider().install_default();
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(certified.signing_key.serialize_der()));
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![certified.cert.der().clone()], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(mut inside) = acceptor.accept(stream).await else {
                    return;
                };
                let mut outside = TcpStream::connect(upstream).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut inside, &mut outside).await;
            });
        }
    });
    port
}

/// What makes a program trust the certificates of this file and no others.
fn trusting(authority: &Path) -> [(&'static str, &str); 2] {
    [
        ("SSL_CERT_FILE", authority.to_str().unwrap()),
        ("SSL_CERT_DIR", ""),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn https_works_for_both_clients_and_both_forms_of_the_call() {
    let mut endpoint = start("endpoint", &["--listen", "127.0.0.1:0"]);
    let certified = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
    let port = tls_proxy(address(&mut endpoint).await, &certified).await;
    let folder = tempfile::tempdir().unwrap();
    let authority = folder.path().join("authority.pem");
    std::fs::write(&authority, certified.cert.pem()).unwrap();

    let stranger = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
    let other = folder.path().join("other.pem");
    std::fs::write(&other, stranger.cert.pem()).unwrap();

    let url = format!("https://localhost:{port}");
    for strategy in ["async", "thread-pool", "process-pool"] {
        for client in ["hyper", "reqwest"] {
            let what = format!("{strategy} {client}");
            let args = [
                "--endpoint-url",
                &url,
                "--strategy",
                strategy,
                "--http-client",
                client,
            ];
            let mut udf = Udf::start(&args, &trusting(&authority)).await;
            assert_eq!(udf.window(0, 1, 5).await[0].ok(), 5, "{what}");

            let mut distrustful = Udf::start(&args, &trusting(&other)).await;
            let records = distrustful.window(0, 1, 5).await;
            assert_eq!(
                (records[0].ok(), count(&records, Outcome::Tls)),
                (0, 5),
                "{what}: the certificate is checked"
            );
        }
    }
}

#[test]
fn https_without_any_authority_is_refused_with_what_to_do() {
    for client in ["hyper", "reqwest"] {
        let output = Cli::new(binary("udf"))
            .args(["--endpoint-url", "https://localhost", "--http-client", client])
            .envs(trusting(Path::new("/nonexistent")))
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{client}: {said}");
        assert!(said.contains("SSL_CERT_FILE"), "{client}: {said}");
    }
}
