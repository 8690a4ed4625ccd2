//! Event logs: genuine ones replay, changed ones don't.
