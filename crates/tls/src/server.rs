//! A server's side.

use crate::cached::Cached;
use crate::revocation::Revoked;
use crate::verify::{Clients, Rules};
use crate::{Error, Options, files};
use rustls::ServerConfig;
use rustls::server::NoServerSessionStorage;
use rustls::sign::SingleCertAndKey;
use std::sync::Arc;

/// What a listener does with connections that come in.
#[derive(Debug)]
pub struct Server {
    options: Options,
    revoked: Option<Arc<Revoked>>,
    config: Cached<ServerConfig>,
}

impl Server {
    /// Reads all files once, so that what is wrong with them is known at the start.
    pub fn new(options: Options) -> Result<Server, Error> {
        let pair = options.certificate.as_ref().ok_or(Error::NoCertificate)?;
        let mut watched = vec![pair.certificate.clone(), pair.key.clone()];
        watched.extend(options.authorities.clone());
        let revoked = match &options.revoked {
            Some(path) => Some(Arc::new(Revoked::open(path)?)),
            None => None,
        };
        let config = Cached::new(watched, || build(&options, revoked.clone()))?;
        Ok(Server {
            options,
            revoked,
            config,
        })
    }

    /// For the next handshake, as the files say now. While they cannot be used (one of a pair is written before the
    /// other), those of before are.
    pub fn config(&self) -> Arc<ServerConfig> {
        let current = self.config.current(|| build(&self.options, self.revoked.clone()));
        current.unwrap_or_else(|error| {
            tracing::warn!(
                error = error.to_string(),
                "failed to load new certificate files; going on with those of before"
            );
            self.config.last()
        })
    }
}

fn build(options: &Options, revoked: Option<Arc<Revoked>>) -> Result<ServerConfig, Error> {
    let pair = options.certificate.as_ref().ok_or(Error::NoCertificate)?;
    let provider = options.protocol.provider();
    let key = files::certified_key(pair, &provider)?;
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&options.protocol.versions())
        .map_err(|error| Error::Setup(error.to_string()))?;
    let builder = if options.asks_for_certificate() {
        let authorities = files::authorities(options.authorities.as_deref())?;
        let rules = Rules {
            allowed: options.allowed.clone(),
            revoked,
        };
        builder.with_client_cert_verifier(Arc::new(Clients::new(authorities, rules, &provider)?))
    } else {
        builder.with_no_client_auth()
    };
    let mut config = builder.with_cert_resolver(Arc::new(SingleCertAndKey::from(key)));
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    if options.asks_for_certificate() {
        // A session that is taken up again shows no certificate: it would outlive its revocation.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
    }
    Ok(config)
}
