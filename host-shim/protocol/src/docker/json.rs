//! A strict reader of JSON bodies: one document, no key twice, no floats, bounded depth. Keys are compared byte by byte.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::{MAX_BODY, Refusal};

/// Deepest nesting of objects and lists. Our bodies have four levels.
const MAX_DEPTH: u8 = 6;

/// A JSON value that was read strictly.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    Null,
    Bool(bool),
    Number(i128),
    Text(String),
    List(Vec<Value>),
    Object(Vec<(String, Value)>),
}

impl Value {
    /// Reads a whole body.
    pub(super) fn read(body: &[u8]) -> Result<Self, Refusal> {
        if body.len() > MAX_BODY {
            return Err(Refusal::too_large(MAX_BODY));
        }
        too_deep(body)?;
        serde_json::from_slice(body)
            .map_err(|error| Refusal::body(format!("the body is not one strict JSON object: {error}")))
    }

    pub(super) fn get(&self, key: &str) -> Option<&Value> {
        match self {
            Self::Object(entries) => entries
                .iter()
                .find(|(name, _)| name == key)
                .map(|(_, value)| value),
            _ => None,
        }
    }

    /// The value under `A.B`.
    fn at(&self, path: &str) -> Result<&Value, Refusal> {
        let found = path.split('.').try_fold(self, |value, key| value.get(key));
        found.ok_or_else(|| Refusal::body(format!("field {path} is missing")))
    }

    pub(super) fn text(&self, path: &str) -> Result<&str, Refusal> {
        match self.at(path)? {
            Self::Text(text) => Ok(text),
            _ => Err(Refusal::value(format!("{path} is not a string"))),
        }
    }

    pub(super) fn number(&self, path: &str) -> Result<u64, Refusal> {
        match self.at(path)? {
            Self::Number(number) => u64::try_from(*number).ok(),
            _ => None,
        }
        .ok_or_else(|| Refusal::value(format!("{path} is not a whole number")))
    }

    pub(super) fn boolean(&self, path: &str) -> Result<bool, Refusal> {
        match self.at(path)? {
            Self::Bool(value) => Ok(*value),
            _ => Err(Refusal::value(format!("{path} is not a truth value"))),
        }
    }

    pub(super) fn texts(&self, path: &str) -> Result<Vec<String>, Refusal> {
        let texts = match self.at(path)? {
            Self::List(items) => items
                .iter()
                .map(|item| match item {
                    Self::Text(text) => Some(text.clone()),
                    _ => None,
                })
                .collect(),
            _ => None,
        };
        texts.ok_or_else(|| Refusal::value(format!("{path} is not a list of strings")))
    }

    pub(super) fn list(&self, path: &str) -> Result<&[Value], Refusal> {
        match self.at(path)? {
            Self::List(items) => Ok(items),
            _ => Err(Refusal::value(format!("{path} is not a list"))),
        }
    }

    pub(super) fn entries(&self, path: &str) -> Result<&[(String, Value)], Refusal> {
        match self.at(path)? {
            Self::Object(entries) => Ok(entries),
            _ => Err(Refusal::value(format!("{path} is not an object"))),
        }
    }

    /// Refuses any key that `template` doesn't have at the same place. `open` are paths of maps whose keys vary, which
    /// are judged elsewhere.
    pub(super) fn only_keys_of(&self, template: &Value, open: &[&str]) -> Result<(), Refusal> {
        self.walk_keys(template, open, "")
    }

    fn walk_keys(&self, template: &Value, open: &[&str], path: &str) -> Result<(), Refusal> {
        if open.contains(&path) {
            return Ok(());
        }
        let (Self::Object(given), Self::Object(_)) = (self, template) else {
            return Ok(());
        };
        for (key, value) in given {
            let below = join(path, key);
            match template.get(key) {
                None => return Err(Refusal::field(&below)),
                Some(template) => value.walk_keys(template, open, &below)?,
            }
        }
        Ok(())
    }

    /// Path of the first place where the two differ. Order of keys doesn't count here.
    pub(super) fn first_difference(&self, expected: &Value) -> Option<String> {
        self.differs_at(expected, "")
    }

    fn differs_at(&self, expected: &Value, path: &str) -> Option<String> {
        match (self, expected) {
            (Self::Object(given), Self::Object(expected_entries)) => {
                let unexpected = given.iter().find(|(key, _)| expected.get(key).is_none());
                if let Some((key, _)) = unexpected {
                    return Some(join(path, key));
                }
                expected_entries.iter().find_map(|(key, expected)| {
                    let below = join(path, key);
                    match self.get(key) {
                        None => Some(below),
                        Some(value) => value.differs_at(expected, &below),
                    }
                })
            }
            _ => (self != expected).then(|| path.to_owned()),
        }
    }
}

fn join(path: &str, key: &str) -> String {
    match path {
        "" => key.to_owned(),
        _ => format!("{path}.{key}"),
    }
}

/// Refuses deep nesting before anything recurses into it.
fn too_deep(body: &[u8]) -> Result<(), Refusal> {
    let (mut depth, mut in_string, mut escaped) = (0u8, false, false);
    for byte in body {
        match (in_string, byte) {
            (true, _) if escaped => escaped = false,
            (true, b'\\') => escaped = true,
            (_, b'"') => in_string = !in_string,
            (false, b'{' | b'[') => {
                depth += 1;
                if depth > MAX_DEPTH {
                    return Err(Refusal::body(format!(
                        "the body is nested deeper than {MAX_DEPTH} levels"
                    )));
                }
            }
            (false, b'}' | b']') => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    Ok(())
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("null, a truth value, a whole number, a string, a list or an object")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Value, E> {
        Err(E::custom("a number is not whole"))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(Value::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(Value::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut entries: Vec<(String, Value)> = Vec::new();
        while let Some((key, value)) = map.next_entry::<String, Value>()? {
            // Objects of ours are small; a set would cost more than this. Large ones are refused first.
            if entries.len() == MAX_KEYS {
                return Err(A::Error::custom("an object has too many keys"));
            }
            if entries.iter().any(|(known, _)| *known == key) {
                return Err(A::Error::custom("an object has a key twice"));
            }
            entries.push((key, value));
        }
        Ok(Value::Object(entries))
    }
}

/// Most keys of one object; our largest has about 60.
const MAX_KEYS: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;

    fn code(body: &[u8]) -> &'static str {
        Value::read(body).map(|_| ()).unwrap_err().code
    }

    #[test]
    fn only_one_strict_document_is_read() {
        assert!(Value::read(br#"{"A":[1,-2,"x",null,true,{}]}"#).is_ok());
        for body in [
            &b""[..],
            b" ",
            b"{",
            b"{}{}",
            b"{} {}",
            b"{}\0",
            b"{}x",
            b"{\"A\":1,}",
            b"{\"A\":1 \"B\":2}",
            b"{'A':1}",
            b"{A:1}",
            b"{\"A\":01}",
            b"{\"A\":1.0}",
            b"{\"A\":1e3}",
            b"{\"A\":99999999999999999999999}",
            b"{\"A\":NaN}",
            b"{\"A\":\"\xff\"}",
            b"{\"A\":\"\\ud800\"}",
            b"{\"A\":\"a\nb\"}",
            b"\xef\xbb\xbf{}",
            b"/* */{}",
            // Twice, however it is spelt.
            br#"{"A":1,"A":2}"#,
            br#"{"A":1,"\u0041":2}"#,
            br#"{"L":{"a":"1","a":"1"}}"#,
            br#"[{"A":1,"A":1}]"#,
        ] {
            assert_eq!(
                code(body),
                "docker_body_malformed",
                "{}",
                String::from_utf8_lossy(body)
            );
        }
    }

    #[test]
    fn depth_width_and_size_are_bounded() {
        let deep = |levels: usize| ["[".repeat(levels), "]".repeat(levels)].concat();
        assert!(Value::read(deep(6).as_bytes()).is_ok());
        assert_eq!(code(deep(7).as_bytes()), "docker_body_malformed");
        assert_eq!(code(deep(MAX_BODY / 2).as_bytes()), "docker_body_malformed");
        assert_eq!(code("[".repeat(MAX_BODY).as_bytes()), "docker_body_malformed");
        assert!(Value::read(br#"["[[[[[[[[[", "\"{{{{{{{{{"]"#).is_ok());
        let keys: Vec<String> = (0..129).map(|key| format!("\"{key}\":0")).collect();
        assert_eq!(
            code(format!("{{{}}}", keys.join(",")).as_bytes()),
            "docker_body_malformed"
        );
        assert_eq!(code(&vec![b' '; MAX_BODY + 1]), "docker_body_too_large");
    }
}
