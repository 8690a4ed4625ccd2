//! NVIDIA GPU evidence: SPDM measurement reports, device certificates, reference integrity manifests.
