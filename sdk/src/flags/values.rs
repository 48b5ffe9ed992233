//! How the values of flags are read.

use std::time::Duration;

use super::truth;

/// Reads a time in seconds; it may have a fraction.
///
/// # Errors
/// A text for clap, when it is no time or none at all.
pub fn seconds(text: &str) -> Result<Duration, String> {
    let read = text.parse().ok().and_then(|it| Duration::try_from_secs_f64(it).ok());
    read.filter(|it| !it.is_zero()).ok_or_else(|| "expected seconds above zero, such as 60 or 0.5".to_owned())
}

/// Reads a truth as [`truth`] does.
///
/// # Errors
/// A text for clap.
pub fn switch(text: &str) -> Result<bool, String> {
    truth(text).ok_or_else(|| "expected true or false".to_owned())
}
