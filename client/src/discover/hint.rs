//! Which providers a gateway knows: a hint at whom to look at on chain, and no more than that.

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use serde::Deserialize;
use url::form_urlencoded::byte_serialize;

use super::DiscoverError;
use crate::trust::address;
use crate::via::GatewayApi;

/// Providers of one answer; a gateway's longest page.
const PAGE: usize = 1000;
/// Pages that are asked for.
const MAX_PAGES: usize = 10;

#[derive(Deserialize)]
struct Listed {
    providers: Vec<Entry>,
    next: Option<String>,
}

#[derive(Deserialize)]
struct Entry {
    address: String,
}

/// The accounts of the providers that a gateway knows, of one model where it is named.
///
/// # Errors
/// [`DiscoverError::Hint`].
pub(super) async fn providers(
    gateway: &GatewayApi,
    model: Option<&str>,
) -> Result<Vec<[u8; 20]>, DiscoverError> {
    let failed = |reason: String| DiscoverError::Hint {
        gateway: gateway.authority(),
        reason,
    };
    let (mut all, mut after) = (Vec::new(), None::<String>);
    for _ in 0..MAX_PAGES {
        let mut path = format!("/v1/providers?active=true&limit={PAGE}");
        for (name, value) in [("model", model), ("after", after.as_deref())] {
            if let Some(value) = value {
                path += &format!("&{name}={}", byte_serialize(value.as_bytes()).collect::<String>());
            }
        }
        let asked = gateway.ask(Method::GET, &path, HeaderMap::new(), Bytes::new());
        let body = match asked.await {
            Ok((StatusCode::OK, body)) => body,
            Ok((status, _)) => return Err(failed(format!("status {}", status.as_u16()))),
            Err(reason) => return Err(failed(reason)),
        };
        let page: Listed =
            serde_json::from_slice(&body).map_err(|_| failed("not a list of providers".to_owned()))?;
        let accounts = page.providers.iter().map(|entry| address(&entry.address));
        let accounts: Result<Vec<_>, _> = accounts.collect();
        let accounts = accounts.map_err(|_| failed("a provider has no address".to_owned()))?;
        all.extend(accounts.into_iter().map(|account| account.0));
        after = page.next.filter(|next| next.len() <= 64);
        if after.is_none() {
            break;
        }
    }
    // Whatever a gateway says twice is looked at once.
    all.sort_unstable();
    all.dedup();
    Ok(all)
}
