//! ABI types and bytecode of the contracts.

#![allow(
    missing_docs,
    clippy::too_many_arguments,
    reason = "generated; the documentation is the NatSpec of the contract"
)]

/// One module for each, because contracts share the names of types.
macro_rules! contracts {
    ($($module:ident: $name:ident, $artifact:literal;)*) => {
        $(
            mod $module {
                alloy::sol!(
                    #[derive(Debug, PartialEq, Eq)]
                    $name,
                    $artifact
                );
            }
            pub use $module::$name;
        )*
    };
}

contracts! {
    measurement_registry: MeasurementRegistry, "artifacts/MeasurementRegistry.json";
    hardware_registry: HardwareRegistry, "artifacts/HardwareRegistry.json";
    attested_key_registry: AttestedKeyRegistry, "artifacts/AttestedKeyRegistry.json";
    frost_verifier: FrostVerifier, "artifacts/FrostVerifier.json";
    frost_wallet: FrostWallet, "artifacts/FrostWallet.json";
    frost_wallet_factory: FrostWalletFactory, "artifacts/FrostWalletFactory.json";
    mpc_key_registry: MPCKeyRegistry, "artifacts/MPCKeyRegistry.json";
    identity_registry: IdentityRegistry, "artifacts/IdentityRegistry.json";
    reputation_registry: ReputationRegistry, "artifacts/ReputationRegistry.json";
    validation_registry: ValidationRegistry, "artifacts/ValidationRegistry.json";
    compute_registry: ComputeRegistry, "artifacts/ComputeRegistry.json";
    compute_staking: ComputeStaking, "artifacts/ComputeStaking.json";
    slashing_court: SlashingCourt, "artifacts/SlashingCourt.json";
    ledger_manager: LedgerManager, "artifacts/LedgerManager.json";
    inference_serving: InferenceServing, "artifacts/InferenceServing.json";
    compute_rental: ComputeRental, "artifacts/ComputeRental.json";
    worker_registry: WorkerRegistry, "artifacts/WorkerRegistry.json";
    trigger_registry: TriggerRegistry, "artifacts/TriggerRegistry.json";
    job_registry: JobRegistry, "artifacts/JobRegistry.json";
}

/// Types that `ComputeRental` inherits.
pub use compute_rental::RentalOffers;
