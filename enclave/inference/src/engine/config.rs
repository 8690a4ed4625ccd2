//! Limits of an engine.

use std::io;

/// Limits of an [`crate::Engine`].
#[derive(Clone, Debug)]
pub struct EngineConfig {
    /// Worker threads. Below the number of CPUs where others need to run too.
    pub threads: usize,
    /// Tokens of prompt and answer together, at most; capped at the model's context length.
    pub max_context: usize,
    /// Tokens of an answer when the request doesn't say.
    pub default_max_tokens: usize,
    /// Requests that run side by side, at most.
    pub max_active: usize,
    /// Requests that wait for their turn, at most.
    pub max_queue: usize,
    /// Memory for the key-value caches of all active requests, in bytes. A request waits until there is room
    /// for all the tokens that it may come to.
    pub kv_cache_bytes: usize,
}

impl Default for EngineConfig {
    fn default() -> Self {
        Self {
            threads: std::thread::available_parallelism().map_or(1, usize::from),
            max_context: 4096,
            default_max_tokens: 512,
            max_active: 256,
            max_queue: 256,
            kv_cache_bytes: 96 << 20,
        }
    }
}

/// Why an engine can't be started.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum EngineError {
    #[error("threads, max_context, default_max_tokens, max_active and max_queue must be at least 1")]
    ZeroLimit,
    #[error("a context of {max_context} tokens takes {needed} bytes of cache; {kv_cache_bytes} are allowed")]
    CacheTooSmall {
        max_context: usize,
        needed: usize,
        kv_cache_bytes: usize,
    },
    #[error("a thread could not be started")]
    Thread(#[source] io::Error),
}
