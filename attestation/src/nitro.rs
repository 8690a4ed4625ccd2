//! AWS Nitro Enclaves attestation documents.
