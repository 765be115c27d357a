//! One connection: which of its requests are calls and which are plain HTTP.

use crate::body::{ResponseBody, Source};
use crate::core::Core;
use crate::rpc::{self, ClientVersion};
use crate::socket::{ClientCertificate, Traffic};
use crate::trace;
use crate::unread::Unread;
use http::{HeaderMap, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use std::sync::Arc;

/// What the requests of one connection have in common.
pub(crate) struct Connection {
    pub core: Arc<Core>,
    pub traffic: Traffic,
    /// What the handshake found out; `None` for plain text.
    pub certificate: Option<ClientCertificate>,
    client: ClientVersion,
    /// What its answers may take until they are read.
    pub unread: Unread,
}

impl Connection {
    pub fn new(core: Arc<Core>, traffic: Traffic, certificate: Option<ClientCertificate>) -> Connection {
        let unread = Unread::new(&core.shared.answers, core.shared.options.send_bytes_max);
        Connection {
            core,
            traffic,
            certificate,
            client: ClientVersion::default(),
            unread,
        }
    }

    /// Answers a request.
    pub async fn answer(&self, mut request: Request<Incoming>) -> Response<ResponseBody> {
        if self.core.shared.options.print_headers {
            trace::print(&request);
        }
        if let Some(name) = self
            .certificate
            .as_ref()
            .and_then(|certificate| certificate.name.as_ref())
            && self.core.shared.options.certificate_users
        {
            request.extensions_mut().insert(name.clone());
        }
        match (is_call(request.headers()), self.traffic) {
            (true, Traffic::All | Traffic::Grpc) => {
                let request = request.map(Source::Wire);
                rpc::call(Arc::clone(&self.core), &self.client, &self.unread, request).await
            }
            (false, Traffic::All | Traffic::Http | Traffic::Metrics) => {
                crate::http::answer(self, request).await
            }
            (true, Traffic::Http | Traffic::Metrics) | (false, Traffic::Grpc) => {
                let mut response = Response::new(ResponseBody::Whole(Full::default()));
                *response.status_mut() = StatusCode::UNSUPPORTED_MEDIA_TYPE;
                response
            }
        }
    }
}

/// gRPC comes as `application/grpc`, `application/grpc+proto` or with a parameter; `application/grpc-web` is another
/// protocol.
fn is_call(headers: &HeaderMap) -> bool {
    let Some(kind) = headers.get(header::CONTENT_TYPE) else {
        return false;
    };
    let rest = kind.as_bytes().strip_prefix(b"application/grpc");
    matches!(rest.map(|rest| rest.first()), Some(None | Some(b'+' | b';')))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn calls_are_told_from_other_requests_by_their_content_type() {
        let check = |kind: &'static str| {
            is_call(&HeaderMap::from_iter([(
                header::CONTENT_TYPE,
                HeaderValue::from_static(kind),
            )]))
        };
        assert!(
            check("application/grpc") && check("application/grpc+proto") && check("application/grpc;x=y")
        );
        assert!(!check("application/grpc-web") && !check("application/json") && !is_call(&HeaderMap::new()));
    }
}
