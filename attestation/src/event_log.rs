//! Event logs: replay against measurement registers.
