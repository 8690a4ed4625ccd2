// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @notice Platform numbers, the same in every contract and in `docs/wire-formats.md`.
library Platform {
    /// @notice Intel TDX.
    uint8 internal constant TDX = 1;
    /// @notice AMD SEV-SNP.
    uint8 internal constant SEV_SNP = 2;
    /// @notice AWS Nitro Enclaves.
    uint8 internal constant NITRO = 3;
    /// @notice Simulated silicon, which proves nothing: local chains only.
    uint8 internal constant SIMULATED = 255;
}

/// @notice What other contracts read of `MeasurementRegistry`.
interface IMeasurements {
    /// @notice Whether verifiers may accept the measurement now.
    function isActive(bytes32 id) external view returns (bool);

    /// @notice Packed record, release digest and policy word: `docs/wire-formats.md` §10.
    function lookup(bytes32 id) external view returns (uint256 packed, bytes32 releaseDigest, uint256 policy);

    /// @notice Counts the changes to what verifiers may accept.
    function policyEpoch() external view returns (uint64);
}

/// @notice What a quote was found to say. A verifier vouches for the quote alone: whether its measurement is acceptable is
/// the registry's to say.
/// @param platform One of `Platform`.
/// @param measurement Measurement id of the quote.
/// @param hardware Platform id of the quote; zero where the platform has none.
/// @param agentId Agent that the claims name.
/// @param claimsDigest SHA-256 of the claims-buffer, which REPORT_DATA carries.
/// @param launchDigest SHA-256 of the launch document.
/// @param key Account of the enclave's secp256k1 key of this boot.
/// @param tcbStatus Level of the platform's firmware: 0 up to date, then worse.
/// @param expiry Unix seconds after which the quote says nothing.
struct QuoteClaims {
    uint8 platform;
    bytes32 measurement;
    bytes32 hardware;
    uint256 agentId;
    bytes32 claimsDigest;
    bytes32 launchDigest;
    address key;
    uint8 tcbStatus;
    uint64 expiry;
}

/// @notice Verifies quotes of one platform: by a committee's signature, in Solidity, by a proof, or optimistically.
interface IQuoteVerifier {
    /// @notice Reverts unless `proof` shows that a genuine quote says `claims`.
    function verifyQuote(QuoteClaims calldata claims, bytes calldata proof) external view;
}

/// @notice What other contracts read of `AttestedKeyRegistry`.
interface IAttestedKeys {
    /// @notice Whether the key is registered and everything that it rests on still stands.
    function isLive(address key) external view returns (bool);

    /// @notice Agent of a key that was ever registered, and the unix second from which it was dead: zero while it is live.
    /// Reverts for a key that never was.
    function agentOf(address key) external view returns (uint256 agentId, uint64 deadSince);

    /// @notice The live key that signed `digest`, and its agent. Reverts if there is none.
    function checkSignature(bytes32 digest, bytes calldata signature)
        external
        view
        returns (address key, uint256 agentId);
}
