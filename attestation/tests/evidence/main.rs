//! Evidence of every platform: genuine recordings of others, and synthetic evidence that is right or wrong in one point.

mod cases;
mod event_log;
mod intel;
mod intel_sgx;
mod intel_tdx;
mod memory;
mod nitro;
mod node;
mod nvidia;
mod sev_snp;
mod vectors;
mod verdicts;
mod x509;
