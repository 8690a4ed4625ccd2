//! What a call sends to a contract: the selector of the function, and its arguments as Solidity encodes them.

use sha3::{Digest, Keccak256};

use crate::abi::{address_argument, number_argument};

/// Builds the data of a call, argument by argument. Static tuples are their members one after another.
///
/// ```
/// use jeju_chain::CallData;
/// let data = CallData::new("transfer(address,uint256)").address(&[0x11; 20]).number(7).encode();
/// assert_eq!((&data[..4], data.len()), (&[0xa9, 0x05, 0x9c, 0xbb][..], 4 + 2 * 32));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallData {
    selector: [u8; 4],
    arguments: Vec<Argument>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Argument {
    /// Stands in its place.
    Word([u8; 32]),
    /// Stands behind all places, one of which says where: this is all of it, its length first.
    Tail(Vec<u8>),
}

impl CallData {
    /// A call of the function with this signature, like `transfer(address,uint256)`: its name and the types of its
    /// arguments, without spaces.
    pub fn new(signature: &str) -> Self {
        Self {
            selector: selector(signature),
            arguments: Vec::new(),
        }
    }

    /// A `bytes32`, or anything else that is one word.
    pub fn word(self, word: [u8; 32]) -> Self {
        self.with(Argument::Word(word))
    }

    /// An unsigned number of any size.
    pub fn number(self, number: u64) -> Self {
        self.word(number_argument(number))
    }

    /// An unsigned number of 128 bits or more, like an amount in wei.
    pub fn amount(self, amount: u128) -> Self {
        let mut word = [0; 32];
        word[16..].copy_from_slice(&amount.to_be_bytes());
        self.word(word)
    }

    /// An `address`.
    pub fn address(self, address: &[u8; 20]) -> Self {
        self.word(address_argument(address))
    }

    /// A `bool`.
    pub fn bool(self, value: bool) -> Self {
        self.number(value.into())
    }

    /// A `string` or `bytes`.
    pub fn text(self, text: impl AsRef<[u8]>) -> Self {
        let text = text.as_ref();
        let mut tail = number_argument(text.len() as u64).to_vec();
        tail.extend_from_slice(text);
        tail.resize(tail.len().next_multiple_of(32), 0);
        self.with(Argument::Tail(tail))
    }

    /// An `address[]`.
    pub fn addresses(self, addresses: &[[u8; 20]]) -> Self {
        let mut tail = number_argument(addresses.len() as u64).to_vec();
        addresses
            .iter()
            .for_each(|address| tail.extend(address_argument(address)));
        self.with(Argument::Tail(tail))
    }

    /// The bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut data = self.selector.to_vec();
        let mut tails: Vec<u8> = Vec::new();
        let places = self.arguments.len() * 32;
        for argument in &self.arguments {
            match argument {
                Argument::Word(word) => data.extend(word),
                Argument::Tail(tail) => {
                    data.extend(number_argument((places + tails.len()) as u64));
                    tails.extend(tail);
                }
            }
        }
        data.extend(tails);
        data
    }

    fn with(mut self, argument: Argument) -> Self {
        self.arguments.push(argument);
        self
    }
}

/// First four bytes of the Keccak-256 of a function's signature.
pub fn selector(signature: &str) -> [u8; 4] {
    let hash = Keccak256::digest(signature.as_bytes());
    [hash[0], hash[1], hash[2], hash[3]]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples of the Solidity documentation ("Contract ABI Specification").
    #[test]
    fn the_documentations_examples() {
        let baz = CallData::new("baz(uint32,bool)").number(69).bool(true).encode();
        let words = "0000000000000000000000000000000000000000000000000000000000000045\
                     0000000000000000000000000000000000000000000000000000000000000001";
        assert_eq!(hex::encode(baz), format!("cdcd77c0{words}"));
        let sam = CallData::new("sam(bytes,bool,uint256[])")
            .text("dave")
            .bool(true)
            .with(Argument::Tail([3, 1, 2, 3].map(number_argument).concat()))
            .encode();
        let words = "0000000000000000000000000000000000000000000000000000000000000060\
                     0000000000000000000000000000000000000000000000000000000000000001\
                     00000000000000000000000000000000000000000000000000000000000000a0\
                     0000000000000000000000000000000000000000000000000000000000000004\
                     6461766500000000000000000000000000000000000000000000000000000000\
                     0000000000000000000000000000000000000000000000000000000000000003\
                     0000000000000000000000000000000000000000000000000000000000000001\
                     0000000000000000000000000000000000000000000000000000000000000002\
                     0000000000000000000000000000000000000000000000000000000000000003";
        assert_eq!(hex::encode(sam), format!("a5643bf2{words}"));
    }

    #[test]
    fn texts_and_lists_end_with_whole_words() {
        let empty = CallData::new("f(string)").text("").encode();
        assert_eq!(empty.len(), 4 + 2 * 32);
        let full = CallData::new("f(string)").text("x".repeat(32)).encode();
        assert_eq!(full.len(), 4 + 3 * 32);
        let list = CallData::new("f(address[],uint256)")
            .addresses(&[[1; 20], [2; 20]])
            .amount(u128::MAX);
        let data = list.encode();
        assert_eq!(data.len(), 4 + 5 * 32);
        assert_eq!(data[4 + 35..4 + 64], [&[0; 13][..], &[0xff; 16]].concat());
    }
}
