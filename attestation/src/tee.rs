//! The platforms that evidence can come from.

use core::fmt;

use serde::{Deserialize, Serialize};

/// A trusted execution environment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tee {
    /// Intel Trust Domain Extensions.
    Tdx,
    /// AMD Secure Encrypted Virtualization, Secure Nested Paging.
    SevSnp,
    /// AWS Nitro Enclaves.
    Nitro,
    /// Simulated silicon, for development only: whoever holds the development root can say anything.
    Simulated,
}

impl Tee {
    /// All of them.
    pub const ALL: [Tee; 4] = [Tee::Tdx, Tee::SevSnp, Tee::Nitro, Tee::Simulated];

    /// The name in headers, policies and JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Tee::Tdx => "tdx",
            Tee::SevSnp => "sev-snp",
            Tee::Nitro => "nitro",
            Tee::Simulated => "simulated",
        }
    }

    /// The inverse of [`Tee::name`].
    pub fn from_name(name: &str) -> Option<Tee> {
        Tee::ALL.into_iter().find(|tee| tee.name() == name)
    }

    /// Media type of the platform's own evidence in a bundle or a certificate.
    pub const fn media_type(self) -> &'static str {
        match self {
            Tee::Tdx => "application/vnd.jeju.tdx-quote",
            Tee::SevSnp => "application/vnd.jeju.snp-report",
            Tee::Nitro => "application/vnd.jeju.nitro-document",
            Tee::Simulated => "application/vnd.jeju.simulated-report",
        }
    }

    /// The inverse of [`Tee::media_type`].
    pub fn from_media_type(media_type: &str) -> Option<Tee> {
        Tee::ALL.into_iter().find(|tee| tee.media_type() == media_type)
    }
}

impl fmt::Display for Tee {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
