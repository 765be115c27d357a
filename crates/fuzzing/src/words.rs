//! Short texts that people and other members write: addresses, versions, lists of members, lines of a transaction.

use ctl::{go, txn};
use server::address::Address;

/// The first byte says which.
pub(crate) fn run(data: &[u8]) -> bool {
    let Some((kind, body)) = data.split_first() else {
        return false;
    };
    let Ok(text) = std::str::from_utf8(body) else {
        return false;
    };
    match kind % 16 {
        0 => membership::InitialCluster::parse(text).is_ok(),
        1 => kept(text),
        2 => version(text),
        3 => Address::parse(text)
            .is_ok_and(|address| !address.place().is_empty() && !address.socket().is_empty()),
        4 => Address::parse_list(text).is_ok(),
        5 => client::Endpoint::parse(text).is_ok(),
        6 => txn::parse_compare(text).is_ok(),
        7 => txn::parse_op(text).is_ok(),
        8 => quoted(text),
        9 => duration(text),
        10 => ctl::grammar::parse_int(text).is_ok(),
        11 => server::feature::Features::parse(text).is_ok(),
        12 => server::rotation::Rotation::parse(text).is_ok(),
        13 => server::value::duration(text).is_some() | server::value::boolean(text).is_some(),
        14 => go::json_string(text).starts_with('"'),
        _ => protocol(text),
    }
}

/// Lowest version, highest version, suites.
fn protocol(text: &str) -> bool {
    let mut lines = text.split('\n');
    let mut line = || lines.next().unwrap_or_default();
    tls::Protocol::new(line(), line(), &server::value::list(line())).is_ok()
}

/// What is kept of a URL is what is kept of that.
fn kept(text: &str) -> bool {
    let Ok(kept) = membership::check_url(text) else {
        return false;
    };
    let again = membership::check_url(&kept);
    assert_eq!(again.as_deref(), Ok(&kept[..]), "of {text:?}");
    true
}

fn version(text: &str) -> bool {
    let Ok(version) = text.parse::<membership::Version>() else {
        return false;
    };
    assert_eq!(version.to_string().parse().ok(), Some(version), "of {text:?}");
    true
}

fn quoted(text: &str) -> bool {
    let quoted = go::quote(text.as_bytes());
    assert_eq!(go::unquote(&quoted).as_deref(), Some(text.as_bytes()));
    go::unquote(text).is_some()
}

/// What is written of a duration is read as the same one.
fn duration(text: &str) -> bool {
    let Ok(duration) = go::parse_duration(text) else {
        return false;
    };
    let again = go::parse_duration(&go::format_duration(duration));
    assert_eq!(again, Ok(duration), "of {text:?}");
    true
}
