//! ABI types and bytecode of the contracts.

#![allow(
    missing_docs,
    reason = "generated; the documentation is the NatSpec of the contract"
)]

alloy::sol!(
    #[derive(Debug, PartialEq, Eq)]
    MeasurementRegistry,
    "artifacts/MeasurementRegistry.json"
);
