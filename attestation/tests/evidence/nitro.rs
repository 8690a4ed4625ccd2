//! Nitro: genuine documents, and every refusal.
