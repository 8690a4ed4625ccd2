//! Intel's chains, collateral and quotes.
