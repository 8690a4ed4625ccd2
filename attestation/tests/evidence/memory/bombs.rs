//! Inputs that are small for what a careless reader makes of them.

mod bytes;
mod json;
mod text;

pub use bytes::{binary, cbor, der, encodings};
pub use json::json;
pub use text::{toml, xml};

/// An input.
pub struct Bomb {
    pub name: &'static str,
    pub bytes: Vec<u8>,
}

/// `before`, then as many of `units` as fit into `len` bytes in all, then `after`.
fn fill(len: usize, before: &str, mut unit: impl FnMut(usize) -> String, after: &str) -> Vec<u8> {
    let mut text = String::with_capacity(len);
    text.push_str(before);
    for number in 0.. {
        let unit = unit(number);
        if text.len() + unit.len() + after.len() > len {
            break;
        }
        text.push_str(&unit);
    }
    text.push_str(after);
    text.into_bytes()
}

/// The same with one unit again and again.
fn repeat(len: usize, before: &str, unit: &str, after: &str) -> Vec<u8> {
    let count = len.saturating_sub(before.len() + after.len()) / unit.len();
    [before, &unit.repeat(count), after].concat().into_bytes()
}

fn repeat_bytes(len: usize, before: &[u8], unit: &[u8]) -> Vec<u8> {
    let count = len.saturating_sub(before.len()) / unit.len();
    [before, &unit.repeat(count)].concat()
}

/// Inputs that are longer than asked for, because no shorter ones have their form, are left out.
fn named(len: usize, bombs: Vec<(&'static str, Vec<u8>)>) -> Vec<Bomb> {
    let bombs = bombs.into_iter().filter(|(_, bytes)| bytes.len() <= len);
    bombs.map(|(name, bytes)| Bomb { name, bytes }).collect()
}

/// The same with only so many units, and white space.
fn padded(len: usize, before: &str, unit: &str, count: usize, after: &str) -> Vec<u8> {
    let count = count.min(len.saturating_sub(before.len() + after.len()) / unit.len());
    let mut text = [before, &unit.repeat(count)].concat();
    text.extend(std::iter::repeat_n(
        ' ',
        len.saturating_sub(text.len() + after.len()),
    ));
    text.push_str(after);
    text.into_bytes()
}
