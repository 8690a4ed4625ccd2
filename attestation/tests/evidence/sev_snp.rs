//! SEV-SNP: genuine reports, and every refusal.
