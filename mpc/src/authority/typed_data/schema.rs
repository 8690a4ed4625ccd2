//! The types of typed data.

use std::collections::{BTreeMap, BTreeSet};

use super::super::json::Json;
use crate::refusal::Refusal;

/// Most structs.
const MAX_STRUCTS: usize = 32;
/// Most members of a struct.
const MAX_MEMBERS: usize = 64;
/// Longest name of a type or member, in bytes.
const MAX_NAME: usize = 128;
/// Most arrays within one another.
const MAX_ARRAYS: usize = 8;

const BAD: Refusal = Refusal::Malformed("typed data: types aren't EIP-712's");

/// The structs.
#[derive(Default)]
pub struct Schema(BTreeMap<String, Vec<Member>>);

/// A member of a struct.
pub struct Member {
    /// Its name.
    pub name: String,
    /// Its type, as it was written and as it is hashed.
    pub text: String,
    /// Its type.
    pub kind: Type,
}

/// What a value may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Type {
    /// `string`.
    Text,
    /// `bytes`.
    Bytes,
    /// `bool`.
    Bool,
    /// `address`.
    Address,
    /// `bytes1` to `bytes32`.
    Fixed(usize),
    /// `uint8` to `uint256`, in bits.
    Uint(usize),
    /// `int8` to `int256`, in bits.
    Int(usize),
    /// Another struct.
    Struct(String),
    /// `T[]` or `T[n]`.
    Array(Box<Type>, Option<usize>),
}

impl Schema {
    /// Reads `types`.
    pub fn read(types: &Json) -> Result<Self, Refusal> {
        let Json::Object(structs) = types else {
            return Err(BAD);
        };
        if structs.len() > MAX_STRUCTS {
            return Err(Refusal::Malformed("typed data: too many types"));
        }
        let mut schema = Self::default();
        for (name, members) in structs {
            let Json::Array(members) = members else {
                return Err(BAD);
            };
            let members: Vec<_> = members
                .iter()
                .map(read_member)
                .collect::<Option<_>>()
                .ok_or(BAD)?;
            schema.insert(name, &members)?;
        }
        let structs = || {
            schema
                .0
                .values()
                .flatten()
                .filter_map(|member| member.kind.named())
        };
        match structs().all(|name| schema.0.contains_key(name)) {
            true => Ok(schema),
            false => Err(Refusal::Malformed("typed data: a type isn't defined")),
        }
    }

    /// Adds a struct.
    pub fn insert(&mut self, name: &str, members: &[(&str, &str)]) -> Result<(), Refusal> {
        // A struct may not take the name of a type that exists: readers would differ on which one is meant.
        if !is_type_name(name) || elementary(name).is_some() || members.len() > MAX_MEMBERS {
            return Err(BAD);
        }
        let mut names = BTreeSet::new();
        let members = members
            .iter()
            .map(|(name, text)| {
                let kind = parse(text)?;
                (is_name(name) && names.insert(*name)).then(|| Member {
                    name: (*name).to_owned(),
                    text: (*text).to_owned(),
                    kind,
                })
            })
            .collect::<Option<Vec<_>>>()
            .ok_or(BAD)?;
        self.0.insert(name.to_owned(), members);
        Ok(())
    }

    /// Members of a struct.
    pub fn members(&self, name: &str) -> Option<&[Member]> {
        self.0.get(name).map(Vec::as_slice)
    }

    /// `encodeType`: the struct, then all that it refers to, sorted by name.
    pub fn encode_type(&self, name: &str) -> String {
        let mut others = BTreeSet::new();
        let mut open = vec![name];
        while let Some(current) = open.pop() {
            let members = self.members(current).unwrap_or_default();
            for other in members.iter().filter_map(|member| member.kind.named()) {
                if other != name && others.insert(other) {
                    open.push(other);
                }
            }
        }
        let mut text = String::new();
        for name in std::iter::once(name).chain(others) {
            let members: Vec<_> = self
                .members(name)
                .unwrap_or_default()
                .iter()
                .map(|member| format!("{} {}", member.text, member.name))
                .collect();
            text.push_str(&format!("{name}({})", members.join(",")));
        }
        text
    }
}

impl Type {
    /// The struct that it refers to, if any.
    fn named(&self) -> Option<&str> {
        match self {
            Type::Struct(name) => Some(name),
            Type::Array(item, _) => item.named(),
            _ => None,
        }
    }
}

fn read_member(member: &Json) -> Option<(&str, &str)> {
    match (member, member.get("name"), member.get("type")) {
        (Json::Object(all), Some(Json::Text(name)), Some(Json::Text(kind))) if all.len() == 2 => {
            Some((name, kind))
        }
        _ => None,
    }
}

fn parse(text: &str) -> Option<Type> {
    let base = text.split('[').next().unwrap_or_default();
    let mut arrays = &text[base.len()..];
    let mut kind = match elementary(base) {
        Some(kind) => kind,
        None if is_type_name(base) => Type::Struct(base.to_owned()),
        None => return None,
    };
    for _ in 0..MAX_ARRAYS {
        if arrays.is_empty() {
            return Some(kind);
        }
        let (length, rest) = arrays.strip_prefix('[')?.split_once(']')?;
        let length = match length {
            "" => None,
            digits => Some(usize::from(decimal(digits)?)),
        };
        kind = Type::Array(Box::new(kind), length);
        arrays = rest;
    }
    arrays.is_empty().then_some(kind)
}

fn elementary(text: &str) -> Option<Type> {
    let bits = |digits: &str| match usize::from(decimal(digits)?) {
        bits if bits % 8 == 0 && (8..=256).contains(&bits) => Some(bits),
        _ => None,
    };
    match text {
        "string" => return Some(Type::Text),
        "bytes" => return Some(Type::Bytes),
        "bool" => return Some(Type::Bool),
        "address" => return Some(Type::Address),
        _ => {}
    }
    if let Some(digits) = text.strip_prefix("bytes") {
        let length = usize::from(decimal(digits)?);
        return (length <= 32).then_some(Type::Fixed(length));
    }
    if let Some(digits) = text.strip_prefix("uint") {
        return bits(digits).map(Type::Uint);
    }
    text.strip_prefix("int").and_then(bits).map(Type::Int)
}

/// A number from 1 without leading zeros.
fn decimal(digits: &str) -> Option<u16> {
    let plain = digits.bytes().all(|b| b.is_ascii_digit()) && !digits.starts_with('0');
    plain.then(|| digits.parse().ok()).flatten()
}

/// A colon can't be taken for anything else in `encodeType`, and applications use it. A struct can't be called as an elementary
/// type is or could be: `uint` is one's short name in Solidity, and readers differ on `uint7`.
fn is_type_name(name: &str) -> bool {
    let stem = name.trim_end_matches(|c: char| c.is_ascii_digit());
    let reserved = [
        "address", "bool", "byte", "bytes", "fixed", "function", "int", "string", "ufixed", "uint",
    ];
    !reserved.contains(&stem) && is_name(&name.replace(':', "_"))
}

fn is_name(name: &str) -> bool {
    name.len() <= MAX_NAME
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'$')
        && name.bytes().next().is_some_and(|b| !b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_types() {
        let array = |item, length| Type::Array(Box::new(item), length);
        for (text, kind) in [
            ("string", Type::Text),
            ("bytes", Type::Bytes),
            ("bytes1", Type::Fixed(1)),
            ("bytes32", Type::Fixed(32)),
            ("uint8", Type::Uint(8)),
            ("uint256", Type::Uint(256)),
            ("int24", Type::Int(24)),
            ("Person", Type::Struct("Person".to_owned())),
            ("bool[]", array(Type::Bool, None)),
            ("address[3][]", array(array(Type::Address, Some(3)), None)),
        ] {
            assert_eq!(parse(text), Some(kind), "{text}");
        }
        for wrong in [
            "",
            "uint",
            "int",
            "uint7",
            "uint264",
            "int08",
            "bytes0",
            "bytes33",
            "[]",
            "bool[",
            "bool]",
            "bool[0]",
            "bool[01]",
            "bool[-1]",
            "bool[]x",
            "Per son",
            "Person(",
            "1a",
            "a,b",
            "bool[][][][][][][][][]",
            "bool[99999]",
        ] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }
}
