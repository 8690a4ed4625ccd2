//! What tells tenants apart at an upstream that keeps prompts for the next request with the same beginning: who knows
//! another's prompt would else see in the time of the answer that it was asked before.

use aws_lc_rs::error::Unspecified;
use aws_lc_rs::hmac::{HMAC_SHA256, Key, sign};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::front::identity::random;
use crate::front::inference::Tenant;

const TAG: &[u8] = b"jeju-upstream-tenant-v1\0";

/// Names of tenants for one upstream, of a key that lives as long as the node: nobody outside can tell or choose one.
pub(super) struct Salts {
    key: Key,
}

impl Salts {
    pub(super) fn new() -> Result<Self, Unspecified> {
        Ok(Self {
            key: Key::new(HMAC_SHA256, &random::<32>()?),
        })
    }

    /// The tenant's salt: 43 letters, digits, `-` and `_`. A request of no known tenant shares with none.
    pub(super) fn of(&self, tenant: Tenant) -> Result<String, Unspecified> {
        match tenant {
            Tenant::Key(digest) => {
                let tag = sign(&self.key, &[TAG, &digest].concat());
                Ok(URL_SAFE_NO_PAD.encode(tag))
            }
            // Whoever holds a connection may carry it for many.
            Tenant::Connection(_) => Ok(URL_SAFE_NO_PAD.encode(random::<32>()?)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenant_has_one_salt_until_the_node_ends() {
        let salts = Salts::new().unwrap();
        let of = |tenant| salts.of(tenant).unwrap();
        let a = of(Tenant::Key([1; 32]));
        assert_eq!(a, of(Tenant::Key([1; 32])));
        assert_ne!(a, of(Tenant::Key([2; 32])));
        assert_eq!(a.len(), 43);
        assert_ne!(a, Salts::new().unwrap().of(Tenant::Key([1; 32])).unwrap());
    }

    #[test]
    fn a_request_of_nobody_shares_with_none() {
        let salts = Salts::new().unwrap();
        let of = |number| salts.of(Tenant::Connection(number)).unwrap();
        assert_ne!(of(1), of(1));
        assert_eq!(of(1).len(), 43);
    }
}
