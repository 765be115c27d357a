//! Command lines and the environment.

use server::config::Config;
use server::settings::Settings;

/// Lines: those with a `-` in front are arguments, and so are those that follow an argument without a value; others are
/// variables, written `NAME=VALUE` without `ETCD_`.
pub(crate) fn run(data: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(data) else {
        return false;
    };
    let (arguments, variables): (Vec<&str>, Vec<&str>) = text
        .split('\n')
        .partition(|line| line.starts_with('-') || !line.contains('='));
    let Ok((mut settings, _)) = Settings::from_args(arguments.into_iter().map(str::to_owned)) else {
        return false;
    };
    let variables = variables.into_iter().filter_map(|line| line.split_once('='));
    let variables = variables.map(|(name, value)| (format!("ETCD_{name}"), value.to_owned()));
    settings.add_environment(variables).is_ok() && Config::from_settings(&settings).is_ok()
}
