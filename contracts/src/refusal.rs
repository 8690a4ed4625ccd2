//! What contracts mean by the data of a revert.

use std::fmt::Debug;

use alloy::sol_types::SolInterface;

use crate::bindings::AttestedKeyRegistry::AttestedKeyRegistryErrors;
use crate::bindings::ComputeRegistry::ComputeRegistryErrors;
use crate::bindings::ComputeRental::ComputeRentalErrors;
use crate::bindings::HardwareRegistry::HardwareRegistryErrors;
use crate::bindings::IdentityRegistry::IdentityRegistryErrors;
use crate::bindings::InferenceServing::InferenceServingErrors;
use crate::bindings::LedgerManager::LedgerManagerErrors;
use crate::bindings::MeasurementRegistry::MeasurementRegistryErrors;

/// Name and fields of the custom error, if it is one of the contracts that transactions lead to. Contracts that
/// share an error share its four bytes.
pub(crate) fn describe(data: &[u8]) -> Option<String> {
    None.or_else(|| named::<MeasurementRegistryErrors>(data))
        .or_else(|| named::<ComputeRentalErrors>(data))
        .or_else(|| named::<ComputeRegistryErrors>(data))
        .or_else(|| named::<IdentityRegistryErrors>(data))
        .or_else(|| named::<LedgerManagerErrors>(data))
        .or_else(|| named::<InferenceServingErrors>(data))
        .or_else(|| named::<AttestedKeyRegistryErrors>(data))
        .or_else(|| named::<HardwareRegistryErrors>(data))
}

/// `DelayTooShort(DelayTooShort { delay: 1, minimum: 2 })` without its first half.
fn named<E: SolInterface + Debug>(data: &[u8]) -> Option<String> {
    let text = format!("{:?}", E::abi_decode(data).ok()?);
    Some(match text.split_once('(') {
        Some((_, inner)) => inner.strip_suffix(')').unwrap_or(inner).to_owned(),
        None => text,
    })
}

#[cfg(test)]
mod tests {
    use alloy::primitives::U256;
    use alloy::sol_types::SolError;

    use super::*;
    use crate::bindings::{ComputeRegistry, ComputeRental, MeasurementRegistry};

    #[test]
    fn errors_of_several_contracts_have_names() {
        let early = MeasurementRegistry::TooEarly { readyAt: 7 }.abi_encode();
        assert_eq!(describe(&early).unwrap(), "TooEarly { readyAt: 7 }");
        let started = ComputeRental::RentalNotActive {}.abi_encode();
        assert_eq!(describe(&started).unwrap(), "RentalNotActive");
        let little = ComputeRental::InsufficientPayment {
            provided: U256::from(1),
            required: U256::from(2),
        };
        assert_eq!(
            describe(&little.abi_encode()).unwrap(),
            "InsufficientPayment { provided: 1, required: 2 }"
        );
        let again = ComputeRegistry::ProviderAlreadyRegistered {}.abi_encode();
        assert_eq!(describe(&again).unwrap(), "ProviderAlreadyRegistered");
        for other in [&[][..], &[1, 2, 3, 4], &started[..3]] {
            assert_eq!(describe(other), None);
        }
    }
}
