//! `Idempotency-Key`: who lost the answer to a request asks again and gets the same one.
//!
//! A request is signed and works once. Its answer is kept for whoever shows the same key with exactly the same request;
//! the same key with another request is an error, which most likely is the client's own.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::OnceCell;

use crate::front::error::ApiError;

/// Answers that are kept at most.
const KEPT: usize = 1024;
/// For how long at most.
const KEPT_FOR: Duration = Duration::from_secs(15 * 60);
/// Longest key.
const MAX_KEY: usize = 128;

/// A successful answer's body.
type Stored = Bytes;

/// The key came with another request before.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::front) struct KeyReused;

/// Answers by their keys.
pub(in crate::front) struct Idempotency(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    entries: HashMap<String, Entry>,
    /// Keys in the order in which they came.
    order: VecDeque<(Instant, String)>,
}

struct Entry {
    request: [u8; 32],
    answer: Arc<OnceCell<Stored>>,
}

impl Idempotency {
    pub(in crate::front) fn new() -> Idempotency {
        Idempotency(Mutex::default())
    }

    /// Whether this may be a key: 1 to 128 visible ASCII characters.
    pub(in crate::front) fn is_key(key: &str) -> bool {
        (1..=MAX_KEY).contains(&key.len()) && key.bytes().all(|b| b.is_ascii_graphic())
    }

    /// The place of the answer to `request` (a digest) under `key`.
    fn place(&self, key: &str, request: [u8; 32], now: Instant) -> Result<Arc<OnceCell<Stored>>, KeyReused> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some((at, _)) = kept.order.front() {
            if kept.order.len() < KEPT && now.saturating_duration_since(*at) < KEPT_FOR {
                break;
            }
            if let Some((_, old)) = kept.order.pop_front() {
                kept.entries.remove(&old);
            }
        }
        if let Some(entry) = kept.entries.get(key) {
            // A request that failed leaves its key free.
            if entry.request == request {
                return Ok(entry.answer.clone());
            }
            if entry.answer.initialized() || Arc::strong_count(&entry.answer) > 1 {
                return Err(KeyReused);
            }
            kept.order.retain(|(_, other)| other != key);
        }
        let answer = Arc::new(OnceCell::new());
        kept.entries.insert(
            key.to_owned(),
            Entry {
                request,
                answer: answer.clone(),
            },
        );
        kept.order.push_back((now, key.to_owned()));
        Ok(answer)
    }

    /// The answer that is kept, or the one that `ask` gives. Of several who ask at the same time one is served, and the
    /// others get its answer. Errors aren't kept.
    ///
    /// # Errors
    /// `Err(Err(KeyReused))`, or what `ask` says.
    pub(in crate::front) async fn answer<F>(
        &self,
        key: &str,
        request: [u8; 32],
        ask: impl FnOnce() -> F,
    ) -> Result<Stored, Result<ApiError, KeyReused>>
    where
        F: Future<Output = Result<Stored, ApiError>>,
    {
        let place = self.place(key, request, Instant::now()).map_err(Err)?;
        place.get_or_try_init(ask).await.cloned().map_err(Ok)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    async fn ask(kept: &Idempotency, key: &str, request: u8, answer: &'static str) -> String {
        let answered = kept
            .answer(key, [request; 32], || async {
                Ok(Bytes::from_static(answer.as_bytes()))
            })
            .await;
        match answered {
            Ok(answer) => String::from_utf8(answer.to_vec()).unwrap(),
            Err(error) => format!("{error:?}"),
        }
    }

    #[tokio::test]
    async fn the_same_request_gets_the_same_answer() {
        let kept = Idempotency::new();
        assert_eq!(ask(&kept, "a", 1, "first").await, "first");
        assert_eq!(ask(&kept, "a", 1, "second").await, "first");
        assert_eq!(ask(&kept, "a", 2, "third").await, "Err(KeyReused)");
        assert_eq!(ask(&kept, "b", 2, "third").await, "third");
    }

    #[tokio::test]
    async fn at_the_same_time_one_is_served() {
        let kept = Idempotency::new();
        let asked = AtomicU32::new(0);
        let one = || {
            kept.answer("a", [1; 32], || async {
                tokio::time::sleep(Duration::from_millis(20)).await;
                asked.fetch_add(1, Ordering::Relaxed);
                Ok(Bytes::from_static(b"x"))
            })
        };
        let (first, second, third) = tokio::join!(one(), one(), one());
        assert!(first.is_ok() && second.is_ok() && third.is_ok());
        assert_eq!(asked.into_inner(), 1);
    }

    #[tokio::test]
    async fn failures_are_not_kept() {
        let kept = Idempotency::new();
        let failed = kept
            .answer("a", [1; 32], || async { Err(ApiError::quote_unavailable()) })
            .await;
        assert!(matches!(failed, Err(Ok(_))));
        assert_eq!(ask(&kept, "a", 2, "other").await, "other");
    }

    #[tokio::test]
    async fn answers_are_kept_in_bounds() {
        let kept = Idempotency::new();
        for at in 0..KEPT {
            ask(&kept, &format!("{at}"), 1, "old").await;
        }
        assert_eq!(ask(&kept, "0", 1, "new").await, "new", "the oldest made room");
        assert_eq!(kept.0.lock().unwrap().entries.len(), KEPT);
        let later = Instant::now() + KEPT_FOR;
        kept.place("z", [1; 32], later).unwrap();
        let kept = kept.0.into_inner().unwrap();
        assert_eq!((kept.entries.len(), kept.order.len()), (1, 1));
    }

    #[test]
    fn keys() {
        assert!(Idempotency::is_key("8e03978e-40d5-43e8-bc93-6894a57f9324"));
        for key in ["", "a b", "a\n", "é", &"a".repeat(MAX_KEY + 1)] {
            assert!(!Idempotency::is_key(key), "{key:?}");
        }
    }
}
