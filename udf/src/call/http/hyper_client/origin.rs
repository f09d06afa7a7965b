//! Opens connections to where calls go: its addresses one after another, TLS where the URL asks for it.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::pki_types::ServerName;
use tokio_rustls::TlsConnector;
use tokio_util::either::Either;
use wire::Outcome;

use super::connection::{Connection, Sockets};
use crate::call::http::{HttpCallError, Target, tls};
use crate::call_error::CallError;

/// Where connections go.
pub(super) struct Origin {
    /// A name, or an address without brackets.
    host: String,
    port: u16,
    /// Those of the host, where they need not be looked up.
    addresses: Option<Vec<IpAddr>>,
    tls: Option<Tls>,
    /// Of an attempt.
    timeout: Duration,
}

struct Tls {
    connector: TlsConnector,
    name: ServerName<'static>,
}

impl Origin {
    pub(super) fn new(target: &Target) -> Result<Self, HttpCallError> {
        let url = target.url();
        let error = |reason: &str| HttpCallError::Url {
            given: url.to_string(),
            reason: reason.to_owned(),
        };
        let host = url.host_str().ok_or_else(|| error("it has no host"))?;
        let host = host.trim_matches(['[', ']']).to_owned();
        let port = url
            .port_or_known_default()
            .ok_or_else(|| error("it has no port"))?;
        let tls = match url.scheme() {
            "https" => Some(Tls {
                connector: Arc::new(tls::config(target)?).into(),
                name: ServerName::try_from(host.clone())
                    .map_err(|_| error("its host cannot be named in a certificate"))?,
            }),
            _ => None,
        };
        let literal = || host.parse().ok().map(|address| vec![address]);
        Ok(Self {
            addresses: target.addresses().map(<[IpAddr]>::to_vec).or_else(literal),
            host,
            port,
            tls,
            timeout: target.timeout(),
        })
    }

    /// A new connection.
    pub(super) async fn connect<S: Sockets>(&self, sockets: &S) -> Result<Connection<S>, CallError> {
        let (socket, handle) = self.connect_socket(sockets).await?;
        let transport = match &self.tls {
            None => Either::Left(socket),
            Some(tls) => match tls.connector.connect(tls.name.clone(), socket).await {
                Ok(stream) => Either::Right(Box::new(stream)),
                Err(error) => return Err(CallError::of(&error, Outcome::Tls)),
            },
        };
        let connection = Connection::new(transport, handle).await;
        connection.map_err(|error| CallError::of(&error, Outcome::Broken))
    }

    /// A socket to the first address that takes it. Each may take its share of the time that is left, so that one which
    /// does not answer leaves time for the next. The failure is that of the first address to which this machine has a way:
    /// a resolver gives addresses of IPv6 also where there is no IPv6.
    async fn connect_socket<S: Sockets>(&self, sockets: &S) -> Result<(S::Socket, S::Handle), CallError> {
        let begun = Instant::now();
        let addresses = match &self.addresses {
            Some(known) => known.iter().map(|&ip| SocketAddr::new(ip, self.port)).collect(),
            None => {
                let resolved = sockets.resolve(&self.host, self.port).await;
                resolved.map_err(|error| CallError::of(&error, Outcome::Unresolved))?
            }
        };
        let mut failure: Option<io::Error> = None;
        for (address, untried) in addresses.iter().zip((1..=addresses.len() as u32).rev()) {
            let share = self.timeout.saturating_sub(begun.elapsed()) / untried;
            match sockets.connect(*address, share).await {
                Ok(connected) => return Ok(connected),
                Err(error) if failure.as_ref().is_none_or(has_no_way) => failure = Some(error),
                Err(_) => {}
            }
        }
        Err(match failure {
            Some(error) => CallError::of(&error, Outcome::NoConnection),
            None => CallError::from(Outcome::Unresolved).because("the host has no address"),
        })
    }
}

/// Whether this machine cannot reach such an address at all.
fn has_no_way(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::AddrNotAvailable | io::ErrorKind::NetworkUnreachable | io::ErrorKind::Unsupported
    )
}
