//! The account of the key that a node signs receipts and settlements with, as its evidence names it.

use jeju_wallet_auth::account::Account;
use jeju_wallet_auth::eip712::keccak;
use k256::ecdsa::VerifyingKey;

use super::Session;
use crate::error::Error;
use crate::session::SessionError;

impl Session {
    /// The account of the node's `evm` key, which is another one after each boot.
    ///
    /// # Errors
    /// Where the claims hold no point of the curve.
    pub fn signer(&self) -> Result<Account, Error> {
        let key = &self.newest.claims.claims().evm;
        account_of(key).ok_or_else(|| SessionError::Crypto("the claims' evm key is none").into())
    }
}

/// Account of a compressed secp256k1 key.
fn account_of(key: &[u8; 33]) -> Option<Account> {
    let key = VerifyingKey::from_sec1_bytes(key).ok()?;
    let point = key.to_sec1_point(false);
    let hash = keccak(&[&point.as_bytes()[1..]]);
    Some(Account(hash[12..].try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first key of the development mnemonic "test test … junk".
    #[test]
    fn a_compressed_key_is_its_account() {
        let mut key = [0; 33];
        let text = "038318535b54105d4a7aae60c08fc45f9687181b4fdfc625bd1a753fa7397fed75";
        hex::decode_to_slice(text, &mut key).unwrap();
        let account = account_of(&key).unwrap();
        assert_eq!(account.to_string(), "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266");
        assert_eq!(
            account_of(&[2; 33]).is_some(),
            VerifyingKey::from_sec1_bytes(&[2; 33]).is_ok()
        );
        assert_eq!(account_of(&[0; 33]), None);
        let mut beyond = [0xff; 33];
        beyond[0] = 2;
        assert_eq!(account_of(&beyond), None);
    }
}
