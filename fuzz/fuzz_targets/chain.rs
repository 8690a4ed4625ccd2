//! What endpoints say that contracts answer: rentals, offers, lists of rentals. The first byte chooses.
#![no_main]

use jeju_chain::{MAX_RENTAL_PAGE, Offer, RentalRecord, rental_page};
use libfuzzer_sys::fuzz_target;

/// Length of the answer of `termsOf`.
const TERMS: usize = 128;

fuzz_target!(|input: &[u8]| {
    let Some((choice, bytes)) = input.split_first() else {
        return;
    };
    match choice % 3 {
        0 => {
            // The id that is asked for, terms, record.
            let Some((id, bytes)) = bytes.split_first_chunk::<32>() else {
                return;
            };
            let Some((terms, rental)) = bytes.split_at_checked(TERMS) else {
                return;
            };
            if let Ok(Some(record)) = RentalRecord::from_answers(id, rental, terms) {
                assert_eq!(record.id, *id);
                assert!(record.refunded <= record.paid);
                assert!(record.end_time >= record.start_time && record.end_time >= record.ended_at);
                assert!(!record.ssh_public_key.to_string().contains('\u{1b}'));
                let _ = record.paid_hours();
            }
        }
        1 => {
            if let Ok(Some(offer)) = Offer::from_answer(bytes) {
                assert!((1..=720).contains(&offer.maximum_hours));
                let _ = offer.hourly_rate();
            }
        }
        _ => {
            if let Ok(page) = rental_page(bytes, MAX_RENTAL_PAGE) {
                assert!(page.len() <= MAX_RENTAL_PAGE);
                assert_eq!(bytes.len(), 64 + 32 * page.len());
            }
        }
    }
});
