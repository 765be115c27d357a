//! Who makes a call: from a token in the metadata, or from the client's certificate.

use crate::shared::Shared;
use crate::status;
use node::Caller;
use std::sync::Arc;
use tonic::Status;

/// What TLS found out about a client: the common name of its verified certificate. An extension of its requests.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct CertificateName(pub Arc<str>);

/// What a call brings to prove who makes it. Kept by streams, for which it is judged anew with every request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Proof {
    /// Nothing: all that is needed while authentication is off.
    None,
    /// A token.
    Token(String),
    /// A certificate.
    Certificate(Arc<str>),
}

impl Proof {
    /// The first value of `token`, or else of `authorization`, without `Bearer `; or else the certificate. The JSON
    /// gateway passes no certificate on: a browser would show it for any page.
    pub fn of<T>(request: &tonic::Request<T>) -> Proof {
        let metadata = request.metadata();
        if let Some(token) = metadata.get("token").or_else(|| metadata.get("authorization")) {
            // Bytes that are no text are no token either: let them be judged as a wrong one.
            let token = String::from_utf8_lossy(token.as_encoded_bytes());
            return Proof::Token(token.strip_prefix("Bearer ").unwrap_or(&token).to_owned());
        }
        match request.extensions().get::<CertificateName>() {
            Some(name) => Proof::Certificate(Arc::clone(&name.0)),
            _ => Proof::None,
        }
    }
}

impl Shared {
    /// Who makes this call.
    pub async fn caller<T>(&self, request: &tonic::Request<T>) -> Result<Caller, Status> {
        // Nearly every call: nothing to read, nothing to wait for.
        if !self.node.rules().is_enabled() {
            return Ok(Caller::anonymous());
        }
        self.identify(&Proof::of(request)).await
    }

    /// Whose proof it is.
    pub async fn identify(&self, proof: &Proof) -> Result<Caller, Status> {
        let rules = self.node.rules();
        match proof {
            Proof::Token(token) if rules.is_enabled() => self.node.identify(token).await.map_err(status),
            Proof::Certificate(name) if rules.is_enabled() => Ok(Caller {
                username: name.to_string(),
                auth_revision: rules.revision(),
            }),
            _ => Ok(Caller::anonymous()),
        }
    }

    /// The caller of a call that is refused to all but root, as soon as that is known.
    pub async fn root_caller<T>(&self, request: &tonic::Request<T>) -> Result<Caller, Status> {
        let caller = self.caller(request).await?;
        self.node.authorize_root(&caller).map_err(status)?;
        Ok(caller)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tonic::Request;

    fn request(metadata: &[(&'static str, &str)]) -> Request<()> {
        let mut request = Request::new(());
        for (key, value) in metadata {
            request.metadata_mut().append(*key, value.parse().unwrap());
        }
        request
    }

    #[test]
    fn a_token_is_found_under_either_name_and_with_or_without_its_prefix() {
        let token = |metadata: &[(&'static str, &str)]| Proof::of(&request(metadata));
        let abc = Proof::Token("abc.1".into());
        assert_eq!(token(&[("token", "abc.1")]), abc);
        assert_eq!(token(&[("token", "Bearer abc.1")]), abc);
        assert_eq!(token(&[("authorization", "Bearer abc.1")]), abc);
        assert_eq!(token(&[("authorization", "other"), ("token", "abc.1")]), abc);
        assert_eq!(token(&[("token", "abc.1"), ("token", "second")]), abc);
        assert_eq!(token(&[("unrelated", "abc.1")]), Proof::None);
    }

    #[test]
    fn a_certificate_counts_without_token() {
        let mut direct = request(&[]);
        direct.extensions_mut().insert(CertificateName("ada".into()));
        assert_eq!(Proof::of(&direct), Proof::Certificate("ada".into()));
        let mut with_token = request(&[("token", "abc.1")]);
        with_token.extensions_mut().insert(CertificateName("ada".into()));
        assert_eq!(Proof::of(&with_token), Proof::Token("abc.1".into()));
    }
}
