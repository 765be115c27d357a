//! What the server counts, as Prometheus and as expvar.

use crate::body::ResponseBody;
use crate::shared::Shared;
use http::{Response, StatusCode};
use prometheus::TextEncoder;

/// All metrics of the registry.
pub(super) fn scrape(shared: &Shared) -> Response<ResponseBody> {
    let scrape = shared.metrics.scrape();
    let encoded = TextEncoder::new().encode_to_string(&shared.registry.gather());
    match encoded {
        Ok(text) => {
            scrape.done("200");
            super::body(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", text)
        }
        Err(error) => {
            scrape.done("500");
            super::text(StatusCode::INTERNAL_SERVER_ERROR, error.to_string())
        }
    }
}

/// Go programs show their variables here; of ours only the command line has a counterpart.
pub(super) fn debug_vars() -> Response<ResponseBody> {
    let arguments: Vec<String> = std::env::args_os()
        .map(|argument| argument.to_string_lossy().into_owned())
        .collect();
    let vars = serde_json::json!({ "cmdline": arguments, "memstats": {} });
    super::body(
        StatusCode::OK,
        "application/json; charset=utf-8",
        vars.to_string(),
    )
}
