//! The wallet contract of a key (`FrostWallet`): where it is, and what its key signs for it.

use jeju_wallet_auth::account::Account;
use jeju_wallet_auth::eip712::{Domain, address, hash_struct, keccak, number};

use super::number::Uint256;

/// Name of its signing domain.
pub const DOMAIN_NAME: &str = "Jeju Frost Wallet";
const DOMAIN_VERSION: &str = "1";

const EXECUTE_TYPE: &str = "Execute(address to,uint256 value,bytes data,uint256 nonce,uint64 deadline)";
const BATCH_TYPE: &str = "ExecuteBatch(Call[] calls,uint256 nonce,uint64 deadline)";
const CALL_TYPE: &str = "Call(address to,uint256 value,bytes data)";
const MESSAGE_TYPE: &str = "WalletMessage(bytes32 hash)";

/// A proxy's init code up to the address of the implementation, and from there on.
const PROXY_BEFORE: [u8; 24] = [
    0x60, 0x33, 0x80, 0x60, 0x09, 0x5f, 0x39, 0x5f, 0xf3, 0x36, 0x60, 0x05, 0x57, 0x00, 0x5b, 0x36, 0x5f,
    0x5f, 0x37, 0x5f, 0x5f, 0x36, 0x5f, 0x73,
];
const PROXY_AFTER: [u8; 16] = [
    0x5a, 0xf4, 0x3d, 0x5f, 0x5f, 0x3e, 0x60, 0x2f, 0x57, 0x3d, 0x5f, 0xfd, 0x5b, 0x3d, 0x5f, 0xf3,
];

/// Address of a key's wallet, made or not: `FrostWalletFactory.addressOf`.
pub fn wallet_address(factory: [u8; 20], public_key: &[u8; 33]) -> [u8; 20] {
    // The factory's first contract (its nonce is 1) is the implementation: keccak256(rlp([factory, 1])).
    let implementation = last20(keccak(&[&[0xd6, 0x94], &factory, &[0x01]]));
    let init_code = keccak(&[&PROXY_BEFORE, &implementation, &PROXY_AFTER]);
    last20(keccak(&[&[0xff], &factory, &keccak(&[public_key]), &init_code]))
}

/// A call that a wallet makes.
pub struct Call<'a> {
    /// Whom it calls.
    pub to: &'a Account,
    /// With how many wei.
    pub value: &'a Uint256,
    /// With what.
    pub data: &'a [u8],
}

impl Call<'_> {
    fn members(&self) -> [[u8; 32]; 3] {
        [address(self.to), self.value.0, keccak(&[self.data])]
    }
}

/// A wallet on a chain.
#[derive(Clone, Copy)]
pub struct Wallet {
    /// Which chain.
    pub chain_id: u64,
    /// Its address.
    pub address: Account,
}

impl Wallet {
    /// `executeDigest`.
    pub fn execute(&self, call: &Call, nonce: u64, deadline: u64) -> [u8; 32] {
        let [to, value, data] = call.members();
        let members = [to, value, data, number(nonce), number(deadline)];
        self.digest(&hash_struct(EXECUTE_TYPE, &members))
    }

    /// `batchDigest`.
    pub fn batch<'a>(&self, calls: impl Iterator<Item = Call<'a>>, nonce: u64, deadline: u64) -> [u8; 32] {
        let hashes: Vec<_> = calls
            .map(|call| hash_struct(CALL_TYPE, &call.members()))
            .collect();
        let members = [keccak(&[hashes.as_flattened()]), number(nonce), number(deadline)];
        self.digest(&hash_struct(&[BATCH_TYPE, CALL_TYPE].concat(), &members))
    }

    /// `messageDigest`: what the key signs so that the wallet says yes to `hash` (ERC-1271).
    pub fn message(&self, hash: &[u8; 32]) -> [u8; 32] {
        self.digest(&hash_struct(MESSAGE_TYPE, &[*hash]))
    }

    fn digest(&self, message: &[u8; 32]) -> [u8; 32] {
        Domain {
            name: DOMAIN_NAME,
            version: DOMAIN_VERSION,
            chain_id: self.chain_id,
            contract: self.address,
        }
        .digest(message)
    }
}

fn last20(hash: [u8; 32]) -> [u8; 20] {
    std::array::from_fn(|at| hash[at + 12])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The one in `FrostWalletFactory.sol`, which the contract's own tests check.
    #[test]
    fn the_factorys_example() {
        let mut key = [0; 33];
        hex::decode_to_slice(
            "02f37c34b66ced1fb51c34a90bdae006901f10625cc06c4f64663b0eae87d87b4f",
            &mut key,
        )
        .unwrap();
        let wallet = Account(wallet_address([0x11; 20], &key));
        assert_eq!(wallet.to_string(), "0x7cd21c31c98F5FE95Ce130e8EfC3aABCc0748768");
        key[0] = 3;
        assert_ne!(Account(wallet_address([0x11; 20], &key)), wallet);
        assert_ne!(Account(wallet_address([0x12; 20], &key)), wallet);
    }
}
