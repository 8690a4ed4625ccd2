//! TDX: genuine quotes, and every refusal.
