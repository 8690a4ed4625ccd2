//! What a user owes a provider and has promised it, by the user's own count.
//!
//! All amounts count upwards from the beginning of the contract's session, in wei, as a voucher's `cumulative` does:
//!
//! ```text
//! paid (chain) <= promised (newest voucher) <= owed (verified answers)
//! ```
//!
//! The book is written before a voucher leaves, so that no sequence is used twice and no promise is forgotten, whatever
//! crashes.

use jeju_attestation::hex_bytes::HexBytes;
use serde::{Deserialize, Serialize};

use super::PaymentError;
use super::usage::wei;
use crate::rental::amount::Amount;

/// The count.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Book {
    /// What verified answers cost, and what was promised elsewhere.
    #[serde(with = "wei_text")]
    pub owed: u128,
    /// What the newest voucher promises.
    #[serde(with = "wei_text")]
    pub promised: u128,
    /// The newest voucher's number.
    pub sequence: u64,
    /// What requests can have cost at most whose end isn't known: so much of the node's own count is believed.
    #[serde(with = "wei_text")]
    pub doubtful: u128,
    /// The last answer that was counted.
    pub last: Option<Answered>,
}

/// An answer, by the digests that vouchers and receipts name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Answered {
    /// SHA-256 of the request's body.
    pub request: HexBytes<32>,
    /// SHA-256 of the answer's body; of a stream: what its signed end covers.
    pub response: HexBytes<32>,
}

/// What the chain knows of vouchers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OnChain {
    /// What they paid.
    pub paid: u128,
    /// The newest one's number.
    pub sequence: u64,
}

/// What the node knows of vouchers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AtNode {
    /// What it counts.
    pub owed: u128,
    /// What the newest voucher that it has promises.
    pub promised: u128,
    /// That voucher's number.
    pub sequence: u64,
}

/// The next voucher's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Promise {
    /// All that is promised.
    pub cumulative: u128,
    /// Its number.
    pub sequence: u64,
    /// The answer that it is for.
    pub answered: Answered,
}

impl Book {
    /// Takes in what the chain knows: vouchers that were submitted were signed by this account, wherever.
    ///
    /// # Errors
    /// [`PaymentError::Overflow`].
    pub fn on_chain(&mut self, chain: OnChain) -> Result<(), PaymentError> {
        if chain.paid > self.promised {
            self.rebase(chain.paid)?;
        }
        self.sequence = self.sequence.max(chain.sequence);
        Ok(())
    }

    /// Takes in what the node knows. What it counts beyond the count here is believed as far as requests were left whose
    /// end isn't known.
    ///
    /// # Errors
    /// [`PaymentError::Behind`] where the node holds a voucher that isn't in the book, unless `adopt`.
    pub fn at_node(&mut self, node: &AtNode, adopt: bool) -> Result<(), PaymentError> {
        let is_known = node.sequence <= self.sequence && node.promised <= self.promised;
        if !is_known {
            if !adopt {
                return Err(PaymentError::Behind {
                    node: node.sequence,
                    promised: Amount(node.promised),
                    here: self.sequence,
                });
            }
            if node.promised > self.promised {
                self.rebase(node.promised)?;
            }
            self.sequence = self.sequence.max(node.sequence);
        }
        // The node may count what was broken off after this: what isn't used up stays.
        let believed = node.owed.saturating_sub(self.owed).min(self.doubtful);
        self.owed += believed;
        self.doubtful -= believed;
        Ok(())
    }

    /// A verified answer cost so much.
    ///
    /// # Errors
    /// [`PaymentError::Overflow`].
    pub fn charge(&mut self, cost: u128, answered: Answered) -> Result<(), PaymentError> {
        self.owed = self.owed.checked_add(cost).ok_or(PaymentError::Overflow)?;
        self.last = Some(answered);
        Ok(())
    }

    /// A request was sent whose end isn't known.
    pub fn doubt(&mut self, bound: u128) {
        self.doubtful = self.doubtful.saturating_add(bound);
    }

    /// The next voucher, if the node has less in hand than is owed: of what is owed, `more` at most beyond what was promised.
    pub fn promise(&mut self, node_promised: u128, more: u128) -> Option<Promise> {
        let answered = self.last?;
        let cumulative = self
            .owed
            .min(self.promised.saturating_add(more))
            .max(self.promised);
        if cumulative <= node_promised {
            return None;
        }
        self.sequence = self.sequence.checked_add(1)?;
        self.promised = cumulative;
        Some(Promise {
            cumulative,
            sequence: self.sequence,
            answered,
        })
    }

    /// What was promised elsewhere moves the whole count: what isn't promised yet stays owed.
    fn rebase(&mut self, promised: u128) -> Result<(), PaymentError> {
        let open = self.owed.saturating_sub(self.promised);
        self.owed = promised.checked_add(open).ok_or(PaymentError::Overflow)?;
        self.promised = promised;
        Ok(())
    }
}

/// Amounts as decimal digits.
mod wei_text {
    use serde::{Deserialize, Deserializer, Serializer, de};

    pub(super) fn serialize<S: Serializer>(value: &u128, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(value)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u128, D::Error> {
        let text = String::deserialize(deserializer)?;
        super::wei(&text).ok_or_else(|| de::Error::custom("an amount is decimal digits"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWERED: Answered = Answered {
        request: HexBytes([1; 32]),
        response: HexBytes([2; 32]),
    };

    fn book(owed: u128, promised: u128, sequence: u64) -> Book {
        Book {
            owed,
            promised,
            sequence,
            doubtful: 0,
            last: Some(ANSWERED),
        }
    }

    fn at_node(owed: u128, promised: u128, sequence: u64) -> AtNode {
        AtNode {
            owed,
            promised,
            sequence,
        }
    }

    #[test]
    fn vouchers_only_count_upwards() {
        let mut book = book(100, 100, 4);
        assert_eq!(book.promise(100, u128::MAX), None);
        book.charge(30, ANSWERED).unwrap();
        let first = book.promise(100, u128::MAX).unwrap();
        assert_eq!((first.cumulative, first.sequence), (130, 5));
        // The node has it.
        assert_eq!(book.promise(130, u128::MAX), None);
        // It was lost on the way: the same promise has another number.
        let again = book.promise(100, u128::MAX).unwrap();
        assert_eq!((again.cumulative, again.sequence), (130, 6));
        book.charge(1, ANSWERED).unwrap();
        assert_eq!(book.promise(130, u128::MAX).unwrap().cumulative, 131);
    }

    #[test]
    fn no_more_is_promised_than_allowed_or_owed() {
        let mut book = book(150, 100, 0);
        assert_eq!(book.promise(100, 20).unwrap().cumulative, 120);
        assert_eq!(book.promise(120, 0), None);
        assert_eq!(book.promise(120, u128::MAX).unwrap().cumulative, 150);
        // A node that knows of nothing gets what was promised already, and no more.
        assert_eq!(book.promise(0, 0).unwrap().cumulative, 150);
        assert!(book.charge(u128::MAX, ANSWERED).is_err());
        let mut empty = Book::default();
        assert_eq!(empty.promise(0, u128::MAX), None);
        book.sequence = u64::MAX;
        book.owed += 1;
        assert_eq!(book.promise(150, u128::MAX), None);
    }

    #[test]
    fn what_the_chain_paid_was_promised() {
        let mut fresh = Book::default();
        fresh
            .on_chain(OnChain {
                paid: 500,
                sequence: 9,
            })
            .unwrap();
        assert_eq!((fresh.owed, fresh.promised, fresh.sequence), (500, 500, 9));
        let mut known = book(700, 600, 12);
        known
            .on_chain(OnChain {
                paid: 500,
                sequence: 9,
            })
            .unwrap();
        assert_eq!(known, book(700, 600, 12));
        // Another machine signed more: what is open here stays open.
        known
            .on_chain(OnChain {
                paid: 1000,
                sequence: 20,
            })
            .unwrap();
        assert_eq!(known, book(1100, 1000, 20));
    }

    #[test]
    fn a_node_with_vouchers_of_elsewhere_is_not_believed_unless_told_so() {
        for node in [at_node(0, 10, 5), at_node(0, 101, 4), at_node(0, 0, 5)] {
            let mut book = book(100, 100, 4);
            let error = book.at_node(&node, false).unwrap_err();
            assert_eq!(error.code(), "payment_record_behind");
            book.at_node(&node, true).unwrap();
            assert!(book.sequence >= node.sequence && book.promised >= node.promised);
            assert_eq!(book.owed, book.promised);
        }
        // A node that lost its memory.
        let mut book = book(100, 100, 4);
        book.at_node(&at_node(0, 0, 0), false).unwrap();
        assert_eq!((book.promised, book.sequence), (100, 4));
    }

    #[test]
    fn a_nodes_own_count_is_believed_for_requests_without_an_end_alone() {
        let mut book = book(100, 100, 4);
        book.at_node(&at_node(5000, 100, 4), false).unwrap();
        assert_eq!(book.owed, 100);
        book.doubt(40);
        book.doubt(10);
        book.at_node(&at_node(130, 100, 4), false).unwrap();
        assert_eq!((book.owed, book.doubtful), (130, 20));
        book.doubt(50);
        book.at_node(&at_node(5000, 100, 4), false).unwrap();
        assert_eq!((book.owed, book.doubtful), (200, 0));
        book.doubt(u128::MAX);
        book.doubt(u128::MAX);
        book.at_node(&at_node(u128::MAX, 100, 4), false).unwrap();
        assert_eq!(book.owed, u128::MAX);
    }

    #[test]
    fn a_book_is_written_and_read_whole() {
        let book = Book {
            owed: u128::MAX,
            doubtful: 7,
            ..book(1, 2, 3)
        };
        let text = serde_json::to_string(&book).unwrap();
        assert_eq!(serde_json::from_str::<Book>(&text).unwrap(), book);
        for (from, to) in [
            ("\"promised\":\"2\"", "\"promised\":2"),
            ("\"promised\":\"2\"", "\"promised\":\"-2\""),
            ("\"sequence\":3", "\"sequence\":-3"),
            ("\"sequence\":3,", ""),
            ("\"sequence\":3", "\"sequence\":3,\"more\":1"),
        ] {
            assert!(
                serde_json::from_str::<Book>(&text.replace(from, to)).is_err(),
                "{to}"
            );
        }
    }
}
