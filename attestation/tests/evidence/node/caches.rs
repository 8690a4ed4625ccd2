//! What a verifier remembers of a machine never stands in the place of what came with the next quote.

use jeju_attestation::tee::Tee;
use jeju_attestation::verdict::Revocation;
use jeju_synthetic::amd::table::guid;
use jeju_synthetic::crl::CrlTemplate;

use super::synthetic::World;

/// A host that hands a list over later, or no longer, is taken at its newest word.
#[test]
fn a_revocation_list_counts_for_the_quote_that_brings_it() {
    let world = World::new();
    let list = |revoked: Vec<Vec<u8>>| {
        let template = CrlTemplate {
            revoked,
            ..world.chip.crl.clone()
        };
        template.sign(&world.chip.ark_key)
    };
    let good = list(Vec::new());
    let revoked = list(vec![world.chip.ask.serial.clone()]);
    let node = world.node(Tee::SevSnp);
    let verifier = node.verifier().unwrap();
    let bring = |list: Option<&[u8]>| {
        let mut node = world.node(Tee::SevSnp);
        let more: Vec<_> = list.map(|list| (guid::CRL, list)).into_iter().collect();
        node.snp_table = Some(world.snp_table(&more));
        let verdict = node.verdict_of(&verifier);
        verdict
            .map(|verdict| verdict.cpu.revocation)
            .map_err(|refusal| refusal.code())
    };
    for _ in 0..2 {
        assert_eq!(bring(None), Ok(Revocation::Unknown));
        assert_eq!(bring(Some(&revoked)), Err("x509_revoked"));
        assert_eq!(bring(Some(&good)), Ok(Revocation::Good));
        assert_eq!(bring(Some(&revoked)), Err("x509_revoked"));
    }
}

/// More machines than are remembered, and the first again.
#[test]
fn what_is_forgotten_is_verified_again() {
    let world = World::new();
    let node = world.node(Tee::SevSnp);
    let verifier = node.verifier().unwrap();
    let first = node.verdict_of(&verifier).unwrap();
    for number in 0..20u8 {
        let mut other = world.node(Tee::SevSnp);
        // Another chip with the same certificate: refused, and nothing is kept of it.
        other.snp.chip_id[0] ^= number + 1;
        assert_eq!(
            other.verdict_of(&verifier).unwrap_err().code(),
            "snp_chip_id_mismatch"
        );
        // The same chip with a table that is new each time: accepted, and kept.
        let mut again = world.node(Tee::SevSnp);
        let list = CrlTemplate {
            this_update: world.chip.crl.this_update + i64::from(number),
            ..world.chip.crl.clone()
        };
        let list = list.sign(&world.chip.ark_key);
        again.snp_table = Some(world.snp_table(&[(guid::CRL, &list)]));
        assert_eq!(
            again.verdict_of(&verifier).unwrap().cpu.revocation,
            Revocation::Good
        );
    }
    let last = node.verdict_of(&verifier).unwrap();
    // ECDSA signatures, and with them SIGNATURE.R and SIGNATURE.S, differ each time.
    assert_eq!(
        (last.platform, last.cpu.tcb, last.checks),
        (first.platform, first.cpu.tcb, first.checks)
    );
    assert_eq!(last.cpu.revocation, Revocation::Unknown);
}
