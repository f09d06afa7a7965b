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

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_authorities_is_trusted_beside_the_systems() {
    let mut endpoint = start("endpoint", &["--listen", "127.0.0.1:0"]);
    let certified = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
    let port = tls_proxy(address(&mut endpoint).await, &certified).await;
    let folder = tempfile::tempdir().unwrap();
    let [own, other] = ["own.pem", "other.pem"].map(|name| folder.path().join(name));
    std::fs::write(&own, certified.cert.pem()).unwrap();
    let stranger = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
    std::fs::write(&other, stranger.cert.pem()).unwrap();

    let url = format!("https://localhost:{port}");
    for client in ["hyper", "reqwest"] {
        let args = [
            "--endpoint-url",
            &url,
            "--http-client",
            client,
            "--ca-file",
            own.to_str().unwrap(),
        ];
        let mut udf = Udf::start(&args, &trusting(&other)).await;
        assert_eq!(udf.window(0, 1, 3).await[0].ok(), 3, "{client}");
    }

    // The experiment's own check of the endpoint, and the UDF that it starts.
    let plan = folder.path().join("plan.yaml");
    let text =
        "name: p\nwindow: 500ms\nwarmup: 0\nwindows: 2\nfixed: {rpu: 20, io_delay: 0, strategy: async}\n";
    std::fs::write(&plan, text).unwrap();
    let run = |more: &[&str]| {
        let mut command = Cli::new(binary("experiment"));
        command
            .arg("run")
            .arg(&plan)
            .args(["--endpoint-url", &url, "--out"]);
        command
            .arg(folder.path().join("out"))
            .args(more)
            .envs(trusting(&other));
        tokio::task::block_in_place(|| command.output().unwrap())
    };
    let untrusted = run(&[]);
    let said = String::from_utf8_lossy(&untrusted.stderr);
    assert_eq!(untrusted.status.code(), Some(1), "{said}");
    assert_eq!(
        said,
        format!(
            "experiment: --endpoint-url: `{url}/ping?delay=0`: certificate not trusted: --ca-file or SSL_CERT_FILE\n"
        )
    );
    let trusted = run(&["--ca-file", own.to_str().unwrap()]);
    let said = String::from_utf8_lossy(&trusted.stderr);
    assert_eq!(trusted.status.code(), Some(0), "{said}");
    assert!(said.contains("20 ok, 0 failed"), "{said}");
    let missing = run(&["--ca-file", "/nonexistent"]);
    let said = String::from_utf8_lossy(&missing.stderr);
    assert_eq!(missing.status.code(), Some(2), "{said}");
    assert!(said.contains("--ca-file: `/nonexistent`: "), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_untrusted_certificate_is_said_in_the_udfs_log() {
    let mut endpoint = start("endpoint", &["--listen", "127.0.0.1:0"]);
    let certified = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
    let port = tls_proxy(address(&mut endpoint).await, &certified).await;
    let folder = tempfile::tempdir().unwrap();
    let other = folder.path().join("other.pem");
    let stranger = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
    std::fs::write(&other, stranger.cert.pem()).unwrap();
    let log = tempfile::NamedTempFile::new().unwrap();
    for client in ["hyper", "reqwest"] {
        let mut command = tokio::process::Command::new(binary("udf"));
        command.envs(trusting(&other)).stderr(log.reopen().unwrap());
        let url = format!("https://localhost:{port}");
        let mut udf = Udf::start_as(command, &["--endpoint-url", &url, "--http-client", client]).await;
        let records = udf.window(0, 1, 3).await;
        assert_eq!(count(&records, Outcome::Tls), 3, "{client}");
        drop(udf);
        let said = std::fs::read_to_string(log.path()).unwrap();
        assert!(
            said.contains("certificate not trusted: --ca-file or SSL_CERT_FILE"),
            "{client}: {said}"
        );
        log.as_file().set_len(0).unwrap();
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
