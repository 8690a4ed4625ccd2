//! A verified node's certificate as a file, for clients that can trust one certificate but can't verify evidence.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::CertificateDer;

/// PEM (RFC 7468) of a certificate.
pub fn pem(certificate: &CertificateDer<'_>) -> String {
    let encoded = STANDARD.encode(certificate);
    let mut pem = String::from("-----BEGIN CERTIFICATE-----\n");
    for line in encoded.as_bytes().chunks(64) {
        pem.extend(line.iter().map(|byte| char::from(*byte)));
        pem.push('\n');
    }
    pem + "-----END CERTIFICATE-----\n"
}

#[cfg(test)]
mod tests {
    use rustls::pki_types::pem::PemObject;

    use super::*;

    #[test]
    fn reads_back() {
        for len in [0, 1, 47, 48, 49, 500] {
            let der = CertificateDer::from(vec![7; len]);
            let pem = pem(&der);
            assert!(pem.lines().all(|line| line.len() <= 64));
            if len > 0 {
                assert_eq!(CertificateDer::from_pem_slice(pem.as_bytes()).unwrap(), der);
            }
        }
    }
}
