//! Certificate paths and revocation lists: every refusal.

use jeju_attestation::roots::{AmdProduct, TestRoots, TrustAnchors};

#[test]
fn placeholder() {
    let _ = TrustAnchors::for_development(&TestRoots {
        amd: vec![(AmdProduct::Milan, vec![])],
        ..TestRoots::default()
    });
}
