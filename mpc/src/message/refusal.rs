//! A refusal on its way between members. Texts stay at home: a peer's words aren't repeated to a client.

use crate::configuration::ConfigurationError;
use crate::network::MAX_MEMBERS;
use crate::refusal::Refusal;
use crate::wire::{Reader, WireError, Writer};

const TOLD: &str = "as another member says";

pub(super) fn write<'a>(refusal: &Refusal, to: &'a mut Writer) -> &'a mut Writer {
    match refusal {
        Refusal::Malformed(_) => to.u8(0),
        Refusal::OtherNetwork => to.u8(1),
        Refusal::Expired { expires, now } => to.u8(2).u64(*expires).u64(*now),
        Refusal::IssuedAt(issued) => to.u8(3).u64(*issued),
        Refusal::TooLongLived(seconds) => to.u8(4).u64(*seconds),
        Refusal::Replayed => to.u8(5),
        Refusal::NonceUsed => to.u8(6),
        Refusal::Signature => to.u8(7),
        Refusal::NotAllowed => to.u8(8),
        Refusal::PolicyVersion { given, current } => to.u8(9).u32(*given).u32(*current),
        Refusal::Scheme => to.u8(11),
        Refusal::KeyUnknown => to.u8(12),
        Refusal::Busy => to.u8(13),
        Refusal::NoQuorum { reachable, needed } => to.u8(14).u16(*reachable).u16(*needed),
        Refusal::TimedOut => to.u8(15),
        Refusal::Misbehaved(members) => {
            let told = &members[..members.len().min(usize::from(MAX_MEMBERS))];
            to.u8(16).count(told.len());
            for member in told {
                to.member(*member);
            }
            to
        }
        Refusal::ShareMissing => to.u8(17),
        Refusal::Storage => to.u8(18),
        Refusal::PolicyChain => to.u8(19),
        Refusal::OwnersMissing { given, needed } => to.u8(20).u16(*given as u16).u16(*needed as u16),
        Refusal::PayloadUnsupported(_) => to.u8(21),
        Refusal::Policy(_) => to.u8(10),
        Refusal::StateOld => to.u8(22),
        Refusal::TooOften { seconds } => to.u8(23).u32(*seconds),
        Refusal::MembersRefuse { members, .. } => {
            let told = &members[..members.len().min(usize::from(MAX_MEMBERS))];
            to.u8(24).count(told.len());
            for member in told {
                to.member(*member);
            }
            to
        }
        Refusal::NoPlace => to.u8(25),
        Refusal::Configuration(error) => to.u8(26).u8(*error as u8),
    }
}

pub(super) fn read(from: &mut Reader<'_>) -> Result<Refusal, WireError> {
    Ok(match from.u8()? {
        0 => Refusal::Malformed(TOLD),
        1 => Refusal::OtherNetwork,
        2 => Refusal::Expired {
            expires: from.u64()?,
            now: from.u64()?,
        },
        3 => Refusal::IssuedAt(from.u64()?),
        4 => Refusal::TooLongLived(from.u64()?),
        5 => Refusal::Replayed,
        6 => Refusal::NonceUsed,
        7 => Refusal::Signature,
        8 => Refusal::NotAllowed,
        9 => Refusal::PolicyVersion {
            given: from.u32()?,
            current: from.u32()?,
        },
        10 => Refusal::Policy(TOLD),
        11 => Refusal::Scheme,
        12 => Refusal::KeyUnknown,
        13 => Refusal::Busy,
        14 => Refusal::NoQuorum {
            reachable: from.u16()?,
            needed: from.u16()?,
        },
        15 => Refusal::TimedOut,
        16 => Refusal::Misbehaved(super::codec::list(
            from,
            "members",
            usize::from(MAX_MEMBERS),
            Reader::member,
        )?),
        17 => Refusal::ShareMissing,
        18 => Refusal::Storage,
        19 => Refusal::PolicyChain,
        20 => Refusal::OwnersMissing {
            given: usize::from(from.u16()?),
            needed: usize::from(from.u16()?),
        },
        21 => Refusal::PayloadUnsupported(TOLD),
        22 => Refusal::StateOld,
        23 => Refusal::TooOften { seconds: from.u32()? },
        24 => Refusal::MembersRefuse {
            members: super::codec::list(from, "members", usize::from(MAX_MEMBERS), Reader::member)?,
            why: TOLD,
        },
        25 => Refusal::NoPlace,
        26 => {
            let error = ConfigurationError::ALL.get(usize::from(from.u8()?));
            Refusal::Configuration(*error.ok_or(WireError::Value("configuration refusal"))?)
        }
        _ => return Err(WireError::Value("refusal")),
    })
}
