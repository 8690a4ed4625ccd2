//! Intel TDX quotes, versions 4 and 5.
