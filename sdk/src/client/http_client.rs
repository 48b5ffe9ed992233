//! Plain HTTP, for peers that speak no gRPC.

use std::time::Duration;

use weir_proto::{Code, Error};

/// Asks a URL for its health.
///
/// # Errors
/// `Upstream` when it cannot be reached, `NotReady` with its text when it answers anything but a 2xx status.
pub async fn healthy(url: &str, timeout: Duration) -> Result<(), Error> {
    let upstream = |error: reqwest::Error| Error::new(Code::Upstream, format!("{url}: {error}"));
    // A probe goes to the address it names, whatever proxy the environment has for the rest of the world.
    let client = reqwest::Client::builder().no_proxy().timeout(timeout).build().map_err(upstream)?;
    let response = client.get(url).send().await.map_err(upstream)?;
    let status = response.status();
    if status.is_success() {
        return Ok(());
    }
    let text = response.text().await.unwrap_or_default();
    Err(Error::new(Code::NotReady, format!("{url}: {status} {text}")))
}
