//! A dialler's side.

use crate::cached::Cached;
use crate::revocation::Revoked;
use crate::verify::{Rules, Servers};
use crate::{Error, Options, files};
use rustls::ClientConfig;
use rustls::client::Resumption;
use rustls::sign::SingleCertAndKey;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

/// What a dialler does with connections that it makes.
#[derive(Debug)]
pub struct Client {
    options: Options,
    revoked: Option<Arc<Revoked>>,
    watched: Vec<PathBuf>,
    config: OnceLock<Cached<ClientConfig>>,
}

impl Client {
    /// Reads all files once, so that what is wrong with them is known at the start.
    pub fn new(options: Options) -> Result<Client, Error> {
        let pair = options
            .client_certificate
            .as_ref()
            .or(options.certificate.as_ref());
        let mut watched: Vec<_> = pair
            .into_iter()
            .flat_map(|pair| [pair.certificate.clone(), pair.key.clone()])
            .collect();
        watched.extend(options.authorities.clone());
        let revoked = match &options.revoked {
            Some(path) => Some(Arc::new(Revoked::open(path)?)),
            None => None,
        };
        let client = Client {
            options,
            revoked,
            watched,
            config: OnceLock::new(),
        };
        // Without files nothing can be wrong, and the system's authorities, of which there are many, may never be needed.
        if !client.watched.is_empty() {
            client.cached()?;
        }
        Ok(client)
    }

    /// For the next connection, as the files say now, or as they last said while they cannot be used.
    pub fn config(&self) -> Result<Arc<ClientConfig>, Error> {
        let cached = self.cached()?;
        let current = cached.current(|| build(&self.options, self.revoked.clone()));
        Ok(current.unwrap_or_else(|error| {
            tracing::warn!(
                error = error.to_string(),
                "failed to load new certificate files; going on with those of before"
            );
            cached.last()
        }))
    }

    fn cached(&self) -> Result<&Cached<ClientConfig>, Error> {
        if let Some(cached) = self.config.get() {
            return Ok(cached);
        }
        let made = Cached::new(self.watched.clone(), || {
            build(&self.options, self.revoked.clone())
        })?;
        Ok(self.config.get_or_init(|| made))
    }
}

fn build(options: &Options, revoked: Option<Arc<Revoked>>) -> Result<ClientConfig, Error> {
    let provider = options.protocol.provider();
    let authorities = match options.believe_all {
        true => None,
        false => Some(files::authorities(options.authorities.as_deref())?),
    };
    let rules = Rules {
        allowed: options.allowed.clone(),
        revoked,
    };
    let verifier = Servers::new(authorities, rules, Arc::clone(&provider))?;
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&options.protocol.versions())
        .map_err(|error| Error::Setup(error.to_string()))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier));
    let mut config = match options
        .client_certificate
        .as_ref()
        .or(options.certificate.as_ref())
    {
        Some(pair) => {
            let key = files::certified_key(pair, &provider)?;
            builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(key)))
        }
        None => builder.with_no_client_auth(),
    };
    // Connections between members are few and long; each is to be judged by what the files say when it is made.
    config.resumption = Resumption::disabled();
    Ok(config)
}
