//! Numaflow's own container of a pod: metrics and watermark over HTTPS with a self-signed certificate.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use axum::Router;
use axum::routing::get;
use axum::serve::Listener;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::server::TlsStream;

use super::metrics::{self, PipelineMetrics};

/// Its port (`VertexMetricsPort`).
const PORT: u16 = 2469;

struct Tls {
    listener: TcpListener,
    acceptor: TlsAcceptor,
}

impl Listener for Tls {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let Ok((stream, address)) = self.listener.accept().await else {
                tokio::task::yield_now().await;
                continue;
            };
            if let Ok(stream) = self.acceptor.accept(stream).await {
                return (stream, address);
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<Self::Addr> {
        self.listener.local_addr()
    }
}

/// Serves for the pod `pod` at its address until the task is aborted.
pub(super) async fn serve(pod: String, address: Ipv4Addr, seen: Arc<PipelineMetrics>) {
    let certified = rcgen::generate_simple_self_signed(vec!["numa".to_owned()]).expect("a certificate");
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(certified.signing_key.serialize_der()));
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![certified.cert.der().clone()], key)
        .expect("a key that fits");
    let listener = TcpListener::bind((address, PORT))
        .await
        .expect("an address of 127.0.0.0/8, which needs Linux");
    let watermark = Arc::clone(&seen);
    let router = Router::new()
        .route("/metrics", get(async move || metrics::text(&pod, &seen)))
        .route("/runtime/watermark", get(async move || watermark.watermark()));
    let tls = Tls {
        listener,
        acceptor: TlsAcceptor::from(Arc::new(config)),
    };
    // Ends only by being aborted.
    let _ = axum::serve(tls, router).await;
}
