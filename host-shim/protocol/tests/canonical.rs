//! No parser accepts two encodings of the same thing: what parses encodes to exactly the bytes that were parsed.

use jeju_shim_protocol::blob::{BlobReply, BlobRequest, ListRequest, Page};
use jeju_shim_protocol::document::{DocumentReply, DocumentRequest};
use jeju_shim_protocol::egress::{EgressLine, EgressReply};
use jeju_shim_protocol::log::LogFrame;
use jeju_shim_protocol::silicon::{DerivedKey, EVIDENCE_LEN, SiliconAnswer, SiliconRequest};

type Reencode = fn(&[u8]) -> Option<Vec<u8>>;

const PARSERS: [Reencode; 10] = [
    |bytes| EgressLine::parse(bytes).ok().map(|parsed| parsed.encode()),
    |bytes| EgressReply::parse(bytes).ok().map(EgressReply::encode),
    |bytes| DocumentRequest::parse(bytes).ok().map(|parsed| parsed.encode()),
    |bytes| DocumentReply::parse(bytes).ok().map(DocumentReply::encode),
    |bytes| {
        LogFrame::parse(bytes)
            .ok()
            .map(|parsed| parsed.encode().expect("parsed, so within the limit"))
    },
    |bytes| SiliconRequest::parse(bytes).ok().map(|parsed| parsed.encode()),
    |bytes| SiliconAnswer::parse(bytes).ok().map(|parsed| parsed.encode()),
    |bytes| BlobRequest::parse(bytes).ok().map(|parsed| parsed.encode()),
    |bytes| BlobReply::parse(bytes).ok().map(BlobReply::encode),
    |bytes| {
        let request = ListRequest::new("a", "", None).expect("a valid request");
        Page::parse(bytes, &request).ok().map(|parsed| parsed.encode())
    },
];

/// Bytes that the grammars care about, so that mutants come close to valid inputs.
const ALPHABET: &[u8] = b"\n\r\0 :/.-_[]0129afzAZ%+\x01\x02\x7f\x80\x81\x82\xff";

#[test]
fn what_parses_is_its_own_encoding() {
    let seeds = seeds();
    for seed in &seeds {
        assert!(
            PARSERS
                .iter()
                .any(|reencode| reencode(seed).as_ref() == Some(seed)),
            "{seed:?}"
        );
    }
    let mut random = Xorshift(0x9e37_79b9_7f4a_7c15);
    let mut accepted = 0;
    for _ in 0..400_000 {
        let mut bytes = random.pick(&seeds).clone();
        for _ in 0..=random.below(3) {
            random.mutate(&mut bytes);
        }
        for reencode in PARSERS {
            if let Some(encoded) = reencode(&bytes) {
                accepted += 1;
                assert_eq!(encoded, bytes);
            }
        }
    }
    assert!(
        accepted > 10_000,
        "mutants are too wild to test anything: {accepted}"
    );
}

fn seeds() -> Vec<Vec<u8>> {
    let mut seeds: Vec<Vec<u8>> = [
        "CONNECT a.example:443\n",
        "CONNECT-PUBLIC a.example:443\n",
        "CONNECT 10.0.0.1:8545\n",
        "CONNECT [2001:db8::1]:1\n",
        "CONNECT [::ffff:1.2.3.4]:65535\n",
        "GET launch\n",
        "GET collateral/tcb-info_1.json\n",
        "OK\n",
        "OK 0\n",
        "OK 4194304\n",
        "ERR denied\n",
        "ERR bad-request\n",
        "GET signer/manifest\n",
        "PUT signer/r-01 1048576\n",
        "DELETE a/b\n",
        "LIST a/\n",
        "LIST a/r- r-01\n",
        "a\nb-0\n",
    ]
    .map(|line| line.as_bytes().to_vec())
    .into();
    seeds.extend(
        [LogFrame::Fatal(7), LogFrame::Opaque(b"abc".to_vec())]
            .iter()
            .filter_map(LogFrame::encode),
    );
    seeds.extend(
        [
            SiliconRequest::Describe,
            SiliconRequest::Report([1; 64]),
            SiliconRequest::SealingKey,
        ]
        .iter()
        .map(SiliconRequest::encode),
    );
    let answers = [
        SiliconAnswer::HostData([1; 32]),
        SiliconAnswer::Evidence([2; EVIDENCE_LEN]),
        SiliconAnswer::DerivedKey(DerivedKey([3; 32])),
        SiliconAnswer::Error(1),
    ];
    seeds.extend(answers.iter().map(SiliconAnswer::encode));
    seeds
}

struct Xorshift(u64);

impl Xorshift {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound as u64) as usize
    }

    fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len())]
    }

    fn mutate(&mut self, bytes: &mut Vec<u8>) {
        let byte = *self.pick(ALPHABET);
        if bytes.is_empty() {
            return bytes.push(byte);
        }
        let at = self.below(bytes.len());
        match self.below(4) {
            0 => bytes[at] = byte,
            1 => bytes.insert(at, byte),
            2 => drop(bytes.remove(at)),
            _ => bytes[at] ^= 1 << self.below(8),
        }
    }
}
