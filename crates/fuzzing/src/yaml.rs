//! Configuration files.

use server::config::Config;
use server::settings::Settings;

/// Text.
pub(crate) fn run(data: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(data) else {
        return false;
    };
    match Settings::from_yaml(text) {
        Ok(settings) => Config::from_settings(&settings).is_ok(),
        Err(_) => false,
    }
}
