//! Revocation lists for NVIDIA's chains. NVIDIA answers for device certificates by OCSP only; lists exist for what is
//! above them, and those that are handed over are checked.

use crate::roots::Root;
use crate::x509::{Certificate, RevocationList, X509Error};

/// Checks each certificate against each list that its issuer made. `chain` is verified, from `first` (the lowest whose
/// issuer may make lists) up; the root may stand last. Returns the names of those that were looked up.
pub(super) fn check(
    chain: &[Certificate<'_>],
    first: usize,
    lists: &[Vec<u8>],
    roots: &[Root],
    now: i64,
) -> Result<Vec<String>, X509Error> {
    let mut looked_up = Vec::new();
    for (index, certificate) in chain.iter().enumerate().skip(first) {
        if certificate.issuer_der() == certificate.subject_der() {
            continue;
        }
        for list in lists {
            let verified = match chain.get(index + 1) {
                Some(issuer) => {
                    RevocationList::verify_by_key(list, issuer.subject_der(), &issuer.public_key()?)
                }
                None => roots
                    .iter()
                    .find(|root| root.subject_der() == certificate.issuer_der())
                    .ok_or_else(|| X509Error::UntrustedRoot(certificate.subject()))
                    .and_then(|root| RevocationList::verify_by_key(list, root.subject_der(), root.key())),
            };
            match verified {
                // A list of another issuer: the bag may hold those of other vendors.
                Err(X509Error::CrlIssuer { .. }) => {}
                Err(error) => return Err(error),
                Ok(list) => {
                    list.check(certificate, now)?;
                    looked_up.push(certificate.subject());
                }
            }
        }
    }
    Ok(looked_up)
}
