//! What `AttestedKeyRegistry` says of a signature, at one concrete block.

use crate::abi::Words;
use crate::call_data::CallData;
use crate::reader::{Block, ChainReader, ReadError};

/// Whose signature it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AttestedSigner {
    /// Account of the enclave's key.
    pub key: [u8; 20],
    /// Agent that the key is registered for.
    pub agent: [u8; 32],
}

impl ChainReader {
    /// The live attested key that signed `digest`, as of `block`. `None` where the registry refuses: the signature is
    /// another key's, or the key is dead, or there is no
    /// such registry at `keys`.
    ///
    /// # Errors
    /// Where no k endpoints give the same answer.
    pub async fn attested_signer_at(
        &self,
        block: &Block,
        keys: &[u8; 20],
        digest: &[u8; 32],
        signature: &[u8; 65],
    ) -> Result<Option<AttestedSigner>, ReadError> {
        let call = CallData::new("checkSignature(bytes32,bytes)")
            .word(*digest)
            .text(signature);
        let answer = self.call_at(block, keys, &call.encode(), 64).await?;
        Ok(answer.and_then(|answer| {
            let mut words = Words::new(&answer);
            let signer = AttestedSigner {
                key: words.address().ok()?,
                agent: words.word().ok()?,
            };
            words.end().ok().map(|()| signer)
        }))
    }
}
