//! Event logs of measured boots.
