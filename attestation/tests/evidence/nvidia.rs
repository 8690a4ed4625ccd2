//! NVIDIA: genuine reports and manifests, and every refusal.
