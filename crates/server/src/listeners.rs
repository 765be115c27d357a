//! Every socket that a member listens on, with or without TLS, and its way to its peers.

use crate::address::Address;
use crate::config::Config;
use crate::listen::{self, bind};
use crate::secure::{Clients, Dialler, PeerDoor, peers};
use crate::security::Side;
use anyhow::Context;
use futures::stream::BoxStream;
use gateway::{Listener, Secure, Traffic};
use peer::Accepting;
use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::SystemTime;
use tracing::{info, warn};

/// Sockets that are bound before anything else: a port in use must not cost a half-started member.
pub struct Listeners {
    /// Connections of peers.
    pub peers: Vec<BoxStream<'static, io::Result<Accepting>>>,
    /// Where clients connect.
    pub clients: Vec<Listener>,
    /// The way to peers.
    pub dialler: Arc<Dialler>,
}

impl Listeners {
    /// Binds all sockets, and reads all certificates.
    pub fn open(config: &Config) -> anyhow::Result<Listeners> {
        let options = listen::Options {
            reuse_port: config.reuse_port,
        };
        let sockets = config
            .listen_peer
            .iter()
            .map(|address| Ok((address, bind(address, options)?)))
            .collect::<anyhow::Result<Vec<_>>>()?;
        let mut places = Places::default();
        let traffic = match config.listen_client_http.is_empty() {
            true => Traffic::All,
            false => Traffic::Grpc,
        };
        for (list, traffic) in [
            (&config.listen_client, traffic),
            (&config.listen_client_http, Traffic::Http),
        ] {
            list.iter().for_each(|address| places.add(address, traffic));
        }
        let mut bound = places.bind(options)?;
        for address in &config.listen_metrics {
            bound.push((Place::new(address, Traffic::Metrics), bind(address, options)?));
        }

        let (clients, peer_tls) = (client_tls(config)?, peer_tls(config)?);
        let door = match &peer_tls.certificate {
            Some(_) if config.listen_peer.iter().any(|address| address.scheme.is_tls()) => {
                Some(Arc::new(PeerDoor {
                    tls: tls::Server::new(peer_tls.clone()).context("TLS of peers")?,
                    any_origin: config.security.peer.any_origin,
                }))
            }
            _ => None,
        };
        let dialler = Dialler {
            tls: tls::Client::new(peer_tls).context("TLS of peers")?,
            local: local_address(config),
        };
        Ok(Listeners {
            peers: sockets
                .into_iter()
                .map(|(address, socket)| peers(socket, door.clone().filter(|_| address.scheme.is_tls())))
                .collect(),
            clients: bound
                .into_iter()
                .map(
                    |(place, socket)| match (clients.clone(), place.secure, place.plain) {
                        (Some(clients), true, true) => Listener::either(socket, place.traffic, clients),
                        (Some(clients), true, false) => Listener::secure(socket, place.traffic, clients),
                        _ => Listener::plain(socket, place.traffic),
                    },
                )
                .collect(),
            dialler: Arc::new(dialler),
        })
    }
}

/// Places to listen at by what is bound: an http and an https URL of one port share it.
#[derive(Default)]
struct Places(BTreeMap<String, (Address, Place)>);

#[derive(Clone, Copy)]
struct Place {
    traffic: Traffic,
    secure: bool,
    plain: bool,
}

impl Place {
    fn new(address: &Address, traffic: Traffic) -> Place {
        Place {
            traffic,
            secure: address.scheme.is_tls(),
            plain: !address.scheme.is_tls(),
        }
    }
}

impl Places {
    fn add(&mut self, address: &Address, traffic: Traffic) {
        let new = Place::new(address, traffic);
        let entry = self
            .0
            .entry(address.place())
            .or_insert_with(|| (address.clone(), new));
        entry.1.secure |= new.secure;
        entry.1.plain |= new.plain;
    }

    fn bind(self, options: listen::Options) -> anyhow::Result<Vec<(Place, gateway::Accept)>> {
        self.0
            .into_values()
            .map(|(address, place)| Ok((place, bind(&address, options)?)))
            .collect()
    }
}

/// The handshake with clients; `None` where no URL asks for one, whatever the flags say.
fn client_tls(config: &Config) -> anyhow::Result<Option<Arc<dyn Secure>>> {
    let side = &config.security.client;
    let client = config.listen_client.iter().chain(&config.listen_client_http);
    for address in client.clone().filter(|address| !address.scheme.is_tls()) {
        if side.has_certificate() {
            warn!(
                "client-url" = address.to_string(),
                "scheme is http or unix while key and cert files are present; ignoring key and cert files"
            );
        }
        if side.tls.require_certificate {
            warn!(
                "client-url" = address.to_string(),
                "scheme is http or unix while --client-cert-auth is enabled; ignoring client cert auth for this URL"
            );
        }
    }
    let secure = client
        .clone()
        .chain(&config.listen_metrics)
        .any(|address| address.scheme.is_tls());
    let hosts: Vec<_> = client.map(|address| address.host.clone()).collect();
    let tls = with_certificate(side, "client", config, &hosts)?;
    if !secure || tls.certificate.is_none() {
        return Ok(None);
    }
    log_start(side, "starting with client TLS");
    let server = tls::Server::new(tls).context("TLS of clients")?;
    Ok(Some(Arc::new(Clients(server))))
}

fn peer_tls(config: &Config) -> anyhow::Result<tls::Options> {
    let side = &config.security.peer;
    for address in config
        .listen_peer
        .iter()
        .filter(|address| !address.scheme.is_tls())
    {
        if side.has_certificate() {
            warn!(
                "peer-url" = address.to_string(),
                "scheme is HTTP while key and cert files are present; ignoring key and cert files"
            );
        }
        if side.tls.require_certificate {
            warn!(
                "peer-url" = address.to_string(),
                "scheme is HTTP while --peer-client-cert-auth is enabled; ignoring client cert auth for this URL"
            );
        }
    }
    if side.has_certificate() {
        log_start(side, "starting with peer TLS");
    }
    let hosts: Vec<_> = config
        .listen_peer
        .iter()
        .map(|address| address.host.clone())
        .collect();
    with_certificate(side, "peer", config, &hosts)
}

fn log_start(side: &Side, message: &'static str) {
    info!("tls-info" = side.summary(), "auto-tls" = side.auto, "{message}");
}

/// The options of one side, with a certificate of our own making where that is asked for and none is named. As in etcd
/// such a side knows no authorities: whoever asks for this wants encryption, and no proof of who is who.
fn with_certificate(
    side: &Side,
    name: &str,
    config: &Config,
    hosts: &[String],
) -> anyhow::Result<tls::Options> {
    if !side.auto {
        return Ok(side.tls.clone());
    }
    if side.tls.certificate.is_some() {
        warn!("ignoring {name} auto TLS since certs given");
        return Ok(side.tls.clone());
    }
    if side.tls.asks_for_certificate() {
        warn!("{name} certificates are not asked for: auto TLS has no authority to check them with");
    }
    #[expect(
        clippy::disallowed_methods,
        reason = "a certificate says from when on it is valid"
    )]
    let now = SystemTime::now();
    let dir = config.data_dir.join("fixtures").join(name);
    let made = tls::self_signed(&dir, hosts, config.security.years, now)
        .with_context(|| format!("failed to get {name} self-signed certs"))?;
    Ok(tls::Options {
        protocol: side.tls.protocol.clone(),
        ..made
    })
}

/// Feature SetMemberLocalAddr: connections to peers come from an address that this member advertises, and that its
/// certificate names.
fn local_address(config: &Config) -> Option<IpAddr> {
    if !config.features.is_open("SetMemberLocalAddr") {
        return None;
    }
    let found = config
        .advertise_peer
        .iter()
        .filter_map(|address| address.host.parse::<IpAddr>().ok())
        .find(|address| !address.is_loopback() && !address.is_unspecified());
    match found {
        Some(address) => info!(LocalAddr = address.to_string(), "setting member local address"),
        None => warn!("unable to set a member local address due to lack of suitable local addresses"),
    }
    found
}
