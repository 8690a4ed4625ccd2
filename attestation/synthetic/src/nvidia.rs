//! NVIDIA's chains, SPDM reports and manifests.
