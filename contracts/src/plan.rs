//! All contracts in the order in which they name one another, each at the address that follows from its code and arguments.

use alloy::primitives::{Address, B256, U256, address, keccak256};
use alloy::sol_types::SolConstructor;

use crate::bindings::{
    AttestedKeyRegistry, ComputeRegistry, ComputeRental, ComputeStaking, FrostVerifier, FrostWalletFactory,
    HardwareRegistry, IdentityRegistry, InferenceServing, JobRegistry, LedgerManager, MPCKeyRegistry,
    ReputationRegistry, SlashingCourt, TriggerRegistry, ValidationRegistry, WorkerRegistry,
};
use crate::deployment::{CREATE2_FACTORY, RegistryArguments, salt};

/// ERC-4337's entry point, version 0.8, which is at this address on every chain that has it.
pub const ENTRY_POINT: Address = address!("4337084D9E255Ff0702461CF8895CE9E3b5Ff108");
/// Shortest time until a new challenger may slash on a public chain, in seconds: longer than any stake needs to leave.
pub const MIN_CHALLENGER_DELAY: u64 = 30 * 24 * 60 * 60;

/// What the contracts beside `MeasurementRegistry` are made with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlanArguments {
    /// Owner, revoker and timelock of all that have them.
    pub registry: RegistryArguments,
    /// Where slashed stake goes; not the owner.
    pub sink: Address,
    /// Who rules on disputes.
    pub arbiter: Address,
    /// Seconds until a new challenger may slash.
    pub challenger_delay: u64,
    /// Where the platform's fee goes.
    pub treasury: Address,
    /// The platform's fee in hundredths of a percent, at most 1000.
    pub fee_bps: u16,
    /// ERC-4337's entry point.
    pub entry_point: Address,
    /// Public key of the committee that verifies quotes: x and the parity of y. `None`: there is no committee yet, and no
    /// `FrostVerifier`.
    pub committee: Option<(U256, u8)>,
}

/// A contract that is to be deployed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned {
    /// Its name.
    pub name: &'static str,
    /// Bytecode and encoded arguments.
    pub init_code: Vec<u8>,
    /// Where the factory puts it.
    pub address: Address,
}

impl Planned {
    /// Of bytecode and encoded constructor arguments.
    pub fn new(name: &'static str, bytecode: &[u8], arguments: &[u8]) -> Self {
        let init_code = [bytecode, arguments].concat();
        let address = CREATE2_FACTORY.create2(salt(), keccak256(&init_code));
        Self {
            name,
            init_code,
            address,
        }
    }

    /// Keccak-256 of the init code.
    pub fn init_code_hash(&self) -> B256 {
        keccak256(&self.init_code)
    }
}

/// Everything but the measurement registry, in an order in which it can be deployed.
pub fn plan(arguments: &PlanArguments) -> Vec<Planned> {
    let PlanArguments {
        registry: RegistryArguments {
            owner,
            revoker,
            min_delay,
        },
        sink,
        arbiter,
        challenger_delay,
        treasury,
        fee_bps,
        entry_point,
        committee,
    } = *arguments;
    let measurements = arguments.registry.address();
    let identity = IdentityRegistry::constructorCall {
        owner_: owner,
        revoker_: revoker,
        minDelay_: min_delay,
    };
    let identity = Planned::new(
        "identityRegistry",
        &IdentityRegistry::BYTECODE,
        &identity.abi_encode(),
    );
    let reputation = ReputationRegistry::constructorCall {
        identity: identity.address,
    };
    let validation = ValidationRegistry::constructorCall {
        identity: identity.address,
    };
    let validation = Planned::new(
        "validationRegistry",
        &ValidationRegistry::BYTECODE,
        &validation.abi_encode(),
    );
    let hardware = HardwareRegistry::constructorCall {
        owner_: owner,
        revoker_: revoker,
        minDelay_: min_delay,
        identity_: identity.address,
    };
    let hardware = Planned::new(
        "hardwareRegistry",
        &HardwareRegistry::BYTECODE,
        &hardware.abi_encode(),
    );
    let keys = AttestedKeyRegistry::constructorCall {
        owner_: owner,
        revoker_: revoker,
        minDelay_: min_delay,
        measurements_: measurements,
        hardware_: hardware.address,
        validation_: validation.address,
    };
    let keys = Planned::new(
        "attestedKeyRegistry",
        &AttestedKeyRegistry::BYTECODE,
        &keys.abi_encode(),
    );
    // The court is made after the vaults that it may slash, so it can't be their first challenger.
    let staking = ComputeStaking::constructorCall {
        owner_: owner,
        sink_: sink,
        challengerDelay_: challenger_delay,
        firstChallenger: Address::ZERO,
    };
    let staking = Planned::new("computeStaking", &ComputeStaking::BYTECODE, &staking.abi_encode());
    let compute = ComputeRegistry::constructorCall {
        owner_: owner,
        sink_: sink,
        challengerDelay_: challenger_delay,
        firstChallenger: Address::ZERO,
        identity: identity.address,
        keys: keys.address,
    };
    let compute = Planned::new(
        "computeRegistry",
        &ComputeRegistry::BYTECODE,
        &compute.abi_encode(),
    );
    let court = SlashingCourt::constructorCall {
        owner_: owner,
        arbiter_: arbiter,
        staking_: staking.address,
        registry_: compute.address,
    };
    let mpc_keys = MPCKeyRegistry::constructorCall {
        owner_: owner,
        revoker_: revoker,
        minDelay_: min_delay,
        staking_: staking.address,
    };
    let wallets = FrostWalletFactory::constructorCall {
        entryPoint: entry_point,
    };
    // Governance then names the serving contract to the ledger, once: until then no money can be set aside.
    let ledger = Planned::new(
        "ledgerManager",
        &LedgerManager::BYTECODE,
        &LedgerManager::constructorCall { owner_: owner }.abi_encode(),
    );
    let serving = InferenceServing::constructorCall {
        owner_: owner,
        treasury_: treasury,
        feeBps: fee_bps,
        ledger_: ledger.address,
        registry_: compute.address,
        identity_: identity.address,
        keys_: keys.address,
    };
    let rental = ComputeRental::constructorCall {
        owner_: owner,
        treasury_: treasury,
        feeBps: fee_bps,
        arbiter_: arbiter,
        registry_: compute.address,
        identity_: identity.address,
    };
    let workers = WorkerRegistry::constructorCall {
        registry: compute.address,
        staking_: staking.address,
    };
    let triggers = TriggerRegistry::constructorCall {
        identity: identity.address,
    };
    let jobs = JobRegistry::constructorCall {
        registry: compute.address,
        staking_: staking.address,
        sink_: sink,
    };
    let mut all = vec![
        identity,
        Planned::new(
            "reputationRegistry",
            &ReputationRegistry::BYTECODE,
            &reputation.abi_encode(),
        ),
        validation,
        hardware,
        keys,
        staking,
        compute,
        Planned::new("slashingCourt", &SlashingCourt::BYTECODE, &court.abi_encode()),
        Planned::new(
            "frostWalletFactory",
            &FrostWalletFactory::BYTECODE,
            &wallets.abi_encode(),
        ),
        Planned::new(
            "mpcKeyRegistry",
            &MPCKeyRegistry::BYTECODE,
            &mpc_keys.abi_encode(),
        ),
        ledger,
        Planned::new(
            "inferenceServing",
            &InferenceServing::BYTECODE,
            &serving.abi_encode(),
        ),
        Planned::new("computeRental", &ComputeRental::BYTECODE, &rental.abi_encode()),
        Planned::new("workerRegistry", &WorkerRegistry::BYTECODE, &workers.abi_encode()),
        Planned::new(
            "triggerRegistry",
            &TriggerRegistry::BYTECODE,
            &triggers.abi_encode(),
        ),
        Planned::new("jobRegistry", &JobRegistry::BYTECODE, &jobs.abi_encode()),
    ];
    if let Some((px, parity)) = committee {
        let verifier = FrostVerifier::constructorCall {
            owner_: owner,
            revoker_: revoker,
            minDelay_: min_delay,
            px,
            parity,
        };
        all.push(Planned::new(
            "frostVerifier",
            &FrostVerifier::BYTECODE,
            &verifier.abi_encode(),
        ));
    }
    all
}
