//! The settlement in an answer, which its user may submit: the first clients' way to pay.

use jeju_openai::event;
use jeju_wallet_auth::account::Account;
use jeju_wallet_auth::eip712::keccak;
use serde_json::Value;

use super::facts::Settling;

/// A settlement that a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wish {
    /// It can be signed, by what the chain says.
    Nonce(u64),
    /// Why it can't, as a stable code.
    Refused(&'static str),
}

impl Wish {
    /// By what the chain says now, for a node whose key's account is `signer`.
    pub(super) fn new(nonce: u64, settling: Option<Settling>, signer: &Account) -> Self {
        match settling {
            None => Wish::Refused("chain_unreadable"),
            // The contract would take it from nobody else.
            Some(settling) if settling.signer != signer.0 => Wish::Refused("signer_not_set"),
            Some(settling) if settling.nonce != nonce => Wish::Refused("nonce_not_current"),
            Some(_) => Wish::Nonce(nonce),
        }
    }
}

/// What a settlement says that it is for: as the first clients have it, id and model of the answer.
pub(super) fn request_hash(document: &Value) -> [u8; 32] {
    let text = |name: &str| event::json(document[name].clone());
    keccak(&[b"{\"id\":", &text("id"), b",\"model\":", &text("model"), b"}"])
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Made by ethers 6.
    #[test]
    fn the_hash_is_the_first_clients() {
        let answer = json!({"model": "test-model", "id": "chatcmpl-1700000000000", "usage": {}});
        assert_eq!(
            hex::encode(request_hash(&answer)),
            "0x0ff9989f033967bc9583985c70ce4f30533dd9b51ca476e326de15da5cad8abc".trim_start_matches("0x")
        );
    }

    #[test]
    fn a_settlement_is_for_the_chains_nonce_and_signer() {
        let signer = Account([1; 20]);
        let settling = |nonce, signer| {
            Some(Settling {
                nonce,
                signer: [signer; 20],
            })
        };
        assert_eq!(Wish::new(3, settling(3, 1), &signer), Wish::Nonce(3));
        for (settling, code) in [
            (None, "chain_unreadable"),
            (settling(3, 2), "signer_not_set"),
            (settling(4, 1), "nonce_not_current"),
            (settling(2, 1), "nonce_not_current"),
        ] {
            assert_eq!(Wish::new(3, settling, &signer), Wish::Refused(code));
        }
    }
}
