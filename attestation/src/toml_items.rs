//! TOML documents: how much there is in one, before it is read (in memory an item of one byte can take a thousand), and
//! how one is read.

use serde::de::DeserializeOwned;

/// Most items that are read: keys and their parts, values and lines.
pub const MAX_ITEMS: usize = 16 * 1024;

/// Whether a document may have more. Characters in texts and comments count as well: only the parser can tell them from
/// others, and it would be too late then.
pub(crate) fn too_many(text: &str) -> bool {
    let items = text.bytes().filter(|byte| b"=.,[{\n".contains(byte));
    items.take(MAX_ITEMS + 1).count() > MAX_ITEMS
}

/// Reads a document. It becomes a table first: TOML's reader would be compiled into each type that it read itself, and
/// make the verifier that browsers download a twentieth larger.
pub(crate) fn read<T: DeserializeOwned>(text: &str) -> Result<T, toml::de::Error> {
    toml::from_str::<toml::Table>(text).and_then(T::deserialize)
}
