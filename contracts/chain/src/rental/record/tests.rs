use super::*;
use crate::abi::number_argument;

const ID: [u8; 32] = [0x77; 32];

/// Changes an answer.
type Change<'a> = &'a dyn Fn(&mut Answer);

/// An answer of `getRental`, by hand.
#[derive(Clone)]
struct Answer {
    id: [u8; 32],
    user: u8,
    status: u64,
    start: u64,
    end: u64,
    cost: u64,
    paid: u64,
    refunded: u64,
    texts: [Vec<u8>; 4],
    port: u64,
    terms: [u64; 4],
}

impl Answer {
    fn active() -> Self {
        Self {
            id: ID,
            user: 1,
            status: 1,
            start: 1000,
            end: 1000 + 2 * 3600,
            cost: 20,
            paid: 20,
            refunded: 0,
            texts: [
                b"ssh-ed25519 AAAA me".to_vec(),
                b"busybox".to_vec(),
                b"".to_vec(),
                b"host.example".to_vec(),
            ],
            port: 2222,
            terms: [10, 8000, 0, 250],
        }
    }

    fn pending() -> Self {
        let mut answer = Self {
            status: 0,
            start: 0,
            end: 0,
            port: 0,
            ..Self::active()
        };
        answer.texts[3].clear();
        answer
    }

    fn rental(&self) -> Vec<u8> {
        let mut words = vec![number_argument(32), self.id, [0; 32], [0; 32]];
        words[2][31] = self.user;
        words[3][31] = 2;
        for number in [
            self.status,
            self.start,
            self.end,
            self.cost,
            self.paid,
            self.refunded,
        ] {
            words.push(number_argument(number));
        }
        let mut at = FIELDS * 32;
        for text in &self.texts {
            words.push(number_argument(at as u64));
            at += 32 + text.len().next_multiple_of(32);
        }
        words.push(number_argument(self.port));
        let mut bytes = words.concat();
        for text in &self.texts {
            bytes.extend(number_argument(text.len() as u64));
            bytes.extend(text);
            bytes.resize(bytes.len().next_multiple_of(32), 0);
        }
        bytes
    }

    fn terms(&self) -> Vec<u8> {
        self.terms.map(number_argument).concat()
    }

    fn read(&self) -> Result<Option<RentalRecord>, AbiError> {
        RentalRecord::from_answers(&ID, &self.rental(), &self.terms())
    }
}

#[test]
fn a_rental_is_read_field_by_field() {
    let record = Answer::active().read().unwrap().unwrap();
    assert_eq!((record.id, record.status), (ID, RentalStatus::Active));
    assert_eq!((record.user[19], record.provider[19]), (1, 2));
    assert_eq!((record.start_time, record.end_time), (1000, 8200));
    assert_eq!((record.paid, record.refunded, record.rate), (20, 0, 10));
    assert_eq!(record.ssh_public_key.as_str(), Some("ssh-ed25519 AAAA me"));
    assert_eq!(record.container_image.as_str(), Some("busybox"));
    assert!(record.startup_script.is_empty());
    assert_eq!(record.ssh_host.as_str(), Some("host.example"));
    assert_eq!((record.ssh_port, record.fee_bps), (2222, 250));
    assert_eq!((record.start_deadline, record.ended_at), (8000, 0));
    assert_eq!(record.paid_hours(), 2);
    let pending = Answer::pending().read().unwrap().unwrap();
    assert_eq!((pending.status, pending.paid_hours()), (RentalStatus::Pending, 2));
}

#[test]
fn an_unknown_id_is_no_rental() {
    let nothing = Answer {
        id: [0; 32],
        user: 0,
        status: 0,
        start: 0,
        end: 0,
        cost: 0,
        paid: 0,
        texts: Default::default(),
        port: 0,
        terms: [0; 4],
        ..Answer::active()
    };
    let mut rental = nothing.rental();
    rental[3 * 32 + 31] = 0;
    assert_eq!(
        RentalRecord::from_answers(&ID, &rental, &nothing.terms()),
        Ok(None)
    );
    let mut cost = rental.clone();
    cost[7 * 32 + 31] = 1;
    let refused = RentalRecord::from_answers(&ID, &cost, &nothing.terms());
    assert_eq!(refused, Err(AbiError::Inconsistent));
}

#[test]
fn texts_of_the_longest_allowed_length_fit_and_longer_ones_are_refused() {
    let mut answer = Answer::active();
    let most = [MAX_KEY_BYTES, MAX_IMAGE_BYTES, MAX_SCRIPT_BYTES, MAX_HOST_BYTES];
    answer.texts = most.map(|length| vec![b'x'; length]);
    assert_eq!(answer.rental().len(), MAX_RECORD_BYTES);
    assert!(answer.read().unwrap().is_some());
    for place in 0..4 {
        let mut long = answer.clone();
        long.texts[place].push(b'x');
        assert_eq!(long.read(), Err(AbiError::TooLong));
    }
    // Not UTF-8, and still a rental.
    answer.texts[0] = vec![0xff, 0x1b];
    assert_eq!(answer.read().unwrap().unwrap().ssh_public_key.as_str(), None);
}

#[test]
fn fields_that_contradict_each_other_are_refused() {
    let change = |from: &Answer, with: Change| {
        let mut answer = from.clone();
        with(&mut answer);
        answer.read()
    };
    let (active, pending) = (Answer::active(), Answer::pending());
    let refusals: [(&Answer, Change); 15] = [
        (&active, &|answer| answer.id = [1; 32]),
        (&active, &|answer| answer.id = [0; 32]),
        (&active, &|answer| answer.user = 0),
        (&active, &|answer| answer.cost = 21),
        (&active, &|answer| answer.refunded = 21),
        (&active, &|answer| answer.start = 0),
        (&active, &|answer| answer.end = 1000),
        (&active, &|answer| answer.texts[3].clear()),
        (&active, &|answer| answer.terms[1] = 0),
        (&active, &|answer| answer.terms[2] = 2000),
        (&active, &|answer| answer.status = 0),
        (&active, &|answer| answer.status = 3),
        (&pending, &|answer| answer.status = 1),
        (&pending, &|answer| answer.texts[3] = b"h".to_vec()),
        (&pending, &|answer| answer.start = 5),
    ];
    for (place, (from, with)) in refusals.into_iter().enumerate() {
        assert_eq!(change(from, with), Err(AbiError::Inconsistent), "{place}");
    }
    for status in [2, 7, 255, 256] {
        let refused = change(&active, &|answer| answer.status = status);
        assert_eq!(refused, Err(AbiError::Range));
    }
    let late = change(&active, &|answer| {
        (answer.status, answer.terms[2]) = (3, answer.end + 1);
    });
    assert_eq!(late, Err(AbiError::Inconsistent));
    for (status, ended) in [(3, 2000), (6, 8200)] {
        let over = change(&active, &|answer| {
            (answer.status, answer.terms[2]) = (status, ended)
        });
        assert!(over.unwrap().unwrap().status.is_over());
    }
}

/// Every cut, and every byte changed: an error or another record, never a panic, and never two encodings of one record.
#[test]
fn a_changed_answer_is_refused_or_another_rental() {
    let answer = Answer::active();
    let (rental, terms) = (answer.rental(), answer.terms());
    let good = answer.read().unwrap().unwrap();
    for end in 0..rental.len() {
        assert_eq!(
            RentalRecord::from_answers(&ID, &rental[..end], &terms),
            Err(AbiError::Length),
            "{end}"
        );
    }
    let longer = [&rental[..], &[0]].concat();
    assert_eq!(
        RentalRecord::from_answers(&ID, &longer, &terms),
        Err(AbiError::Length)
    );
    for place in 0..rental.len() {
        for value in [0, 1, 0x7f, 0xff] {
            let mut changed = rental.clone();
            if changed[place] == value {
                continue;
            }
            changed[place] = value;
            if let Ok(record) = RentalRecord::from_answers(&ID, &changed, &terms) {
                assert_ne!(record.as_ref(), Some(&good), "byte {place}");
            }
        }
    }
}
