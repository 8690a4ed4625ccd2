//! AWS's chain and Nitro attestation documents.
