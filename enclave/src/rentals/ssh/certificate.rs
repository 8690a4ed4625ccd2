//! OpenSSH's user certificates (its PROTOCOL.certkeys): what a renter signs to let somebody else in for a while.
//!
//! The renter's key on chain is the authority, for its own rentals alone. A certificate names the rentals that it is for, and
//! all that it demands must be understood, or it is refused whole. russh has checked its signature before.

use std::ops::Range;

use russh::keys::ssh_key::certificate::OptionsMap;
use russh::keys::{Certificate, PublicKey};

use super::config::takes;
use super::rights::{Dials, Rights, Service};
use super::touch::is_touched;
use crate::rentals::backend::RentalId;

/// Critical option: `HOST:PORT,…`, the services that may be reached, and nothing else may be done.
const PERMIT_OPEN: &str = "permitopen@jeju.network";
/// Extensions, as OpenSSH has them: what isn't named isn't allowed.
const PERMIT_TERMINALS: &str = "permit-pty";
const PERMIT_DIALS: &str = "permit-port-forwarding";
/// Services of a certificate.
const SERVICES: usize = 16;
/// Principals of a certificate; OpenSSH's own limit.
const PRINCIPALS: usize = 256;

/// What a certificate grants, if its signer may grant it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Grant {
    /// The signer's key in SSH's wire form.
    pub(super) authority: Vec<u8>,
    /// At least one.
    pub(super) rentals: Vec<RentalId>,
    /// Seconds since 1970.
    pub(super) valid: Range<u64>,
    pub(super) rights: Rights,
}

/// Why a certificate grants nothing. Clients aren't told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    #[error("it is a host's certificate")]
    NotForUsers,
    #[error("its key, or its signer's, is of a kind that can't log in")]
    KeyKind,
    #[error("its signer's security key wasn't touched, or its signature is of another kind")]
    Untouched,
    #[error("it names no rental, or too many")]
    Principals,
    #[error("it demands what isn't known here, or can't be read")]
    CriticalOption,
    #[error("an extension that has no value has one")]
    Extension,
}

impl Grant {
    /// Reads a certificate whose signature was verified.
    ///
    /// # Errors
    /// Why it grants nothing to anybody.
    pub(super) fn read(certificate: &Certificate) -> Result<Self, Refusal> {
        let signer = certificate.signature_key();
        if !certificate.cert_type().is_user() {
            return Err(Refusal::NotForUsers);
        }
        if !takes(&certificate.algorithm()) || !takes(&signer.algorithm()) || signer.is_certificate() {
            return Err(Refusal::KeyKind);
        }
        if !is_touched(&signer.algorithm(), certificate.signature()) {
            return Err(Refusal::Untouched);
        }
        Ok(Self {
            authority: PublicKey::from(signer.clone())
                .to_bytes()
                .map_err(|_| Refusal::KeyKind)?,
            rentals: rentals(certificate.valid_principals())?,
            valid: certificate.valid_after()..certificate.valid_before(),
            rights: rights(certificate)?,
        })
    }
}

fn rentals(principals: &[String]) -> Result<Vec<RentalId>, Refusal> {
    // None at all means everybody's in OpenSSH.
    let rentals: Vec<RentalId> = principals
        .iter()
        .filter_map(|principal| rental(principal))
        .collect();
    match rentals.is_empty() || principals.len() > PRINCIPALS {
        true => Err(Refusal::Principals),
        false => Ok(rentals),
    }
}

/// The rental of a whole id.
fn rental(principal: &str) -> Option<RentalId> {
    let mut id = RentalId::default();
    let digits = principal.strip_prefix("0x").unwrap_or(principal);
    hex::decode_to_slice(digits, &mut id).ok().map(|()| id)
}

fn rights(certificate: &Certificate) -> Result<Rights, Refusal> {
    let extensions = certificate.extensions();
    let (terminals, dials) = (has(extensions, PERMIT_TERMINALS)?, has(extensions, PERMIT_DIALS)?);
    let only = only(certificate.critical_options())?;
    Ok(Rights {
        sessions: only.is_none(),
        terminals: only.is_none() && terminals,
        dials: match only {
            _ if !dials => Dials::NONE,
            Some(services) => Dials::Only(services),
            None => Dials::All,
        },
    })
}

/// The services to which a certificate is restricted, where it is.
fn only(options: &OptionsMap) -> Result<Option<Vec<Service>>, Refusal> {
    let mut only = None;
    for (name, value) in options.iter() {
        if name != PERMIT_OPEN || value.split(',').count() > SERVICES {
            return Err(Refusal::CriticalOption);
        }
        let services: Result<Vec<Service>, _> = value.split(',').map(str::parse).collect();
        only = Some(services.map_err(|_| Refusal::CriticalOption)?);
    }
    Ok(only)
}

/// Whether an extension that has no value is there.
fn has(extensions: &OptionsMap, name: &str) -> Result<bool, Refusal> {
    match extensions.get(name) {
        Some(value) if !value.is_empty() => Err(Refusal::Extension),
        found => Ok(found.is_some()),
    }
}

#[cfg(test)]
mod tests;
