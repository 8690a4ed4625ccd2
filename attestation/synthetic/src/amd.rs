//! AMD's chains and SEV-SNP reports.
