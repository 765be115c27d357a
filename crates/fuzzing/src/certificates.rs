//! Certificates that others show, and files of certificates, keys and revocation lists.

use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::LazyLock;
use tempfile::TempDir;
use tls::{Options, Pair, Server};

struct Known {
    good: Pair,
    _dir: TempDir,
}

static KNOWN: LazyLock<Known> = LazyLock::new(|| {
    let dir = crate::scratch::directory();
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a certificate");
    let write = |name: &str, text: String| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).expect("a temporary file can be written");
        path
    };
    Known {
        good: Pair {
            certificate: write("certificate.pem", made.cert.pem()),
            key: write("key.pem", made.signing_key.serialize_pem()),
        },
        _dir: dir,
    }
});

/// The first byte says what the others are: a certificate, or a file, in PEM.
pub(crate) fn run(data: &[u8]) -> bool {
    let Some((kind, body)) = data.split_first() else {
        return false;
    };
    if kind % 4 == 0 {
        return certificate(body);
    }
    let file = crate::scratch::file("pem", body);
    let mut options = Options {
        certificate: Some(KNOWN.good.clone()),
        ..Options::default()
    };
    match kind % 4 {
        1 => options.revoked = Some(file),
        2 => options.authorities = Some(file),
        _ => options.certificate = Some(pair(file)),
    }
    Server::new(options).is_ok()
}

fn pair(file: PathBuf) -> Pair {
    Pair {
        certificate: file.clone(),
        key: file,
    }
}

fn certificate(body: &[u8]) -> bool {
    let Some(certificate) = tls::Certificate::parse(&body.to_vec().into()) else {
        return false;
    };
    for origin in [[127, 0, 0, 1].into(), [10, 1, 2, 3].into()] {
        let _ = certificate.needs_resolver(origin);
        let _ = certificate.check_origin(origin, &Nobody);
    }
    true
}

/// Knows no name and no address.
struct Nobody;

impl tls::Resolver for Nobody {
    fn names(&self, _: IpAddr) -> io::Result<Vec<String>> {
        Ok(Vec::new())
    }

    fn addresses(&self, _: &str) -> io::Result<Vec<IpAddr>> {
        Ok(Vec::new())
    }
}
