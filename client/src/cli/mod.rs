//! What the program does beside the library's commands.
//!
//! | module | what it does |
//! |---|---|
//! | `node` | asks one node once |
//! | `print` | writes what commands say |
//! | `failure` | codes and exit codes |

pub(crate) mod failure;
pub(crate) mod node;
pub(crate) mod print;
