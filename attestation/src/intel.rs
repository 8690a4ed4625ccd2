//! What TDX and SGX share: quotes' signature data, PCK certificates, collateral, TCB levels.
