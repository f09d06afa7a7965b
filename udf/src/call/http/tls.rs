//! What both clients trust, and what they show of themselves.

use std::sync::Arc;

use rustls::crypto::ring;
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::{BuilderVerifierExt, Verifier};

use super::{HttpCallError, Target};

/// TLS with the authorities that the system trusts, those of `SSL_CERT_FILE` and `SSL_CERT_DIR` where one of them is set,
/// and those of the target.
/// With none for a target without TLS, as it takes milliseconds to load them, in every process of a pool.
///
/// # Errors
/// Returns an error if the system has no authority, or if the client's key does not belong to its certificate.
pub(super) fn config(target: &Target) -> Result<ClientConfig, HttpCallError> {
    let build = || {
        let provider = Arc::new(ring::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()?;
        let builder = match target.url().scheme() {
            "https" if target.authorities().is_empty() => builder.with_platform_verifier()?,
            "https" => {
                let verifier =
                    Verifier::new_with_extra_roots(target.authorities().iter().cloned(), provider)?;
                // Named so for what a custom verifier may do. This one verifies.
                builder
                    .dangerous()
                    .with_custom_certificate_verifier(Arc::new(verifier))
            }
            _ => builder.with_root_certificates(RootCertStore::empty()),
        };
        match target.identity() {
            None => Ok(builder.with_no_client_auth()),
            Some(of) => builder.with_client_auth_cert(of.certificates.clone(), of.key.clone_key()),
        }
    };
    let mut config: ClientConfig = build().map_err(HttpCallError::Tls)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}
