//! The formats of each vendor's silicon, from synthetic silicon: accepted under its own roots by the rules that nodes have
//! for each other, and refused under the vendors'.

use jeju_attestation::tee::Tee;

use super::answers::Open;
use super::silicon::Silicon;
use super::*;

type Make = fn(&[u8; 32]) -> Silicon;

/// How each is made, and the code of the refusal under its vendor's roots.
const MAKES: [(Make, Tee, &str); 3] = [
    (Silicon::tdx_with_collateral, Tee::Tdx, "x509_untrusted_root"),
    (Silicon::snp, Tee::SevSnp, "snp_ark_unknown"),
    (Silicon::nitro, Tee::Nitro, "nitro_root_not_pinned"),
];

#[tokio::test]
async fn each_platform_is_accepted_under_its_own_roots_alone() {
    for (make, tee, expected) in MAKES {
        let node = Node::start_on_hardware(Trick::Honest, make).await;
        let trusted = node.hardware_policy();
        let wanted = Wanted {
            measurement: trusted.measurements[0].to_string(),
            root: [4; 65],
            ..Wanted::of(&node)
        };
        let chain = Chain {
            platform: jeju_chain::platform::from_name(tee.name()).unwrap(),
            ..Chain::default()
        };
        assert_eq!(refused(&wanted, &node, chain.clone()).await, expected, "{tee}");

        let endpoint = Endpoint::start(chain).await;
        let connector = wanted.connector_with(&endpoint, LIMITS, |policy| {
            policy.test_roots = trusted.test_roots;
        });
        let connection = connector
            .connect()
            .await
            .unwrap_or_else(|error| panic!("{tee}: {error}"));
        let mut open = Open { node, connection };
        assert_eq!(open.ask("{}").await.1, Ok(()), "{tee}");
        open.node.rotate();
        assert_eq!(
            open.ask(r#"{"stream":true}"#).await.1,
            Ok(()),
            "{tee}, next epoch"
        );
    }
}
