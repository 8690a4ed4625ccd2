//! How much there is in a TOML document, before it is read: in memory an item of one byte can take a thousand.

/// Most items that are read: keys and their parts, values and lines.
pub const MAX_ITEMS: usize = 16 * 1024;

/// Whether a document may have more. Characters in texts and comments count as well: only the parser can tell them from
/// others, and it would be too late then.
pub(crate) fn too_many(text: &str) -> bool {
    let items = text.bytes().filter(|byte| b"=.,[{\n".contains(byte));
    items.take(MAX_ITEMS + 1).count() > MAX_ITEMS
}
