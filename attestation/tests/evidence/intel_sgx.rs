//! SGX: genuine quotes, and every refusal.
