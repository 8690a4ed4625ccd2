//! Intel SGX quotes, version 3.
