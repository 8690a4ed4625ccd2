//! `multipart/form-data`, as it is read.

use rquickjs::prelude::Func;
use rquickjs::{Array, Ctx, Object, Result, TypedArray};

/// Longest boundary, in bytes. RFC 2046 §5.1.1 allows 70.
const MAX_BOUNDARY: usize = 256;
/// Most parts of a form.
const MAX_PARTS: usize = 10_000;
/// Longest header of a part, in bytes.
const MAX_HEADER: usize = 16 * 1024;

/// Puts `multipart` on `host`.
pub(super) fn install(host: &Object<'_>) -> Result<()> {
    host.set("multipart", Func::from(multipart))
}

/// Name, file name, type (both undefined where there is none), begin and end of each part, one after the other; undefined for what is no form.
fn multipart<'js>(ctx: Ctx<'js>, bytes: TypedArray<'js, u8>, boundary: String) -> Result<Option<Array<'js>>> {
    // SAFETY: no JavaScript runs while the bytes are borrowed: parsing runs none.
    let bytes = unsafe { bytes.as_bytes() }.unwrap_or_default();
    let Some(parts) = parse(bytes, &boundary) else {
        return Ok(None);
    };
    let list = Array::new(ctx)?;
    for (index, part) in parts.into_iter().enumerate() {
        list.set(5 * index, part.name)?;
        list.set(5 * index + 1, part.file_name)?;
        list.set(5 * index + 2, part.media_type)?;
        list.set(5 * index + 3, part.begin as u32)?;
        list.set(5 * index + 4, part.end as u32)?;
    }
    Ok(Some(list))
}

/// A field or a file.
struct Part {
    name: String,
    file_name: Option<String>,
    media_type: Option<String>,
    begin: usize,
    end: usize,
}

fn parse(bytes: &[u8], boundary: &str) -> Option<Vec<Part>> {
    if boundary.is_empty() || boundary.len() > MAX_BOUNDARY {
        return None;
    }
    let delimiter = format!("\r\n--{boundary}").into_bytes();
    let mut parts = Vec::new();
    // The first delimiter may do without its line break.
    let mut at = match bytes.starts_with(&delimiter[2..]) {
        true => delimiter.len() - 2,
        false => find(bytes, &delimiter)? + delimiter.len(),
    };
    loop {
        let rest = bytes.get(at..)?;
        if rest.starts_with(b"--") {
            return Some(parts);
        }
        if !rest.starts_with(b"\r\n") || parts.len() == MAX_PARTS {
            return None;
        }
        let begin = at + find(&rest[..rest.len().min(MAX_HEADER)], b"\r\n\r\n")?;
        let header = bytes.get(at + 2..begin.max(at + 2))?;
        let begin = begin + 4;
        // The delimiter's line break may be the one that ends an empty header.
        let end = begin - 2 + find(&bytes[begin - 2..], &delimiter)?;
        let mut part = describe(header)?;
        part.begin = begin;
        part.end = end.max(begin);
        parts.push(part);
        at = end + delimiter.len();
    }
}

/// What a part's header says.
fn describe(header: &[u8]) -> Option<Part> {
    let header = String::from_utf8_lossy(header);
    let mut name = None;
    let mut file_name = None;
    let mut media_type = None;
    for line in header.split("\r\n") {
        let (field, value) = line.split_once(':')?;
        match field.trim().to_ascii_lowercase().as_str() {
            "content-disposition" => {
                let (kind, parameters) = value.split_once(';')?;
                if !kind.trim().eq_ignore_ascii_case("form-data") {
                    return None;
                }
                name = parameter(parameters, "name");
                file_name = parameter(parameters, "filename");
            }
            "content-type" => media_type = Some(value.trim().to_owned()),
            _ => {}
        }
    }
    Some(Part {
        name: name?,
        file_name,
        media_type,
        begin: 0,
        end: 0,
    })
}

/// A parameter's value, as browsers write it: in quotes, with `"` and line breaks as `%22`, `%0D` and `%0A`.
fn parameter(parameters: &str, wanted: &str) -> Option<String> {
    let mut rest = parameters.trim_start();
    loop {
        let (name, after) = rest.split_once('=')?;
        let (value, after) = match after.strip_prefix('"') {
            Some(after) => quoted(after)?,
            None => {
                let end = after.find(';').unwrap_or(after.len());
                (after[..end].trim_end().to_owned(), &after[end..])
            }
        };
        if name.trim().eq_ignore_ascii_case(wanted) {
            return Some(
                value
                    .replace("%0A", "\n")
                    .replace("%0D", "\r")
                    .replace("%22", "\""),
            );
        }
        rest = after.trim_start().strip_prefix(';')?.trim_start();
    }
}

/// Text up to its closing quote, and what follows. Some clients escape a quote by a backslash.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((value, &text[at + 1..])),
            '\\' if text[at + 1..].starts_with('"') => {
                characters.next();
                value.push('"');
            }
            other => value.push(other),
        }
    }
    None
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    let first = *wanted.first()?;
    let mut from = 0;
    loop {
        from += bytes.get(from..)?.iter().position(|byte| *byte == first)?;
        if bytes[from..].starts_with(wanted) {
            return Some(from);
        }
        from += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Name, file name and value.
    type Read<'a> = (String, Option<String>, &'a [u8]);

    fn read<'a>(bytes: &'a [u8], boundary: &str) -> Option<Vec<Read<'a>>> {
        let value = |part: Part| (part.name, part.file_name, &bytes[part.begin..part.end]);
        Some(parse(bytes, boundary)?.into_iter().map(value).collect())
    }

    #[test]
    fn the_form_of_rfc_7578_is_read() {
        let form = b"--AaB03x\r\ncontent-disposition: form-data; name=\"field1\"\r\ncontent-type: text/plain;charset=UTF-8\r\n\
            \r\nJoe owes =E2=82=AC100.\r\n--AaB03x\r\nContent-Disposition: form-data; name=\"pics\"; filename=\"file1.txt\"\r\n\
            Content-Type: text/plain\r\n\r\nline\r\nline\r\n--AaB03x--\r\n";
        let parts = read(form, "AaB03x").unwrap();
        assert_eq!(
            parts[0],
            ("field1".to_owned(), None, b"Joe owes =E2=82=AC100.".as_slice())
        );
        assert_eq!(
            parts[1],
            (
                "pics".to_owned(),
                Some("file1.txt".to_owned()),
                b"line\r\nline".as_slice()
            )
        );
        assert_eq!(parts.len(), 2);
    }

    #[test]
    fn empty_values_and_empty_forms_are_forms() {
        let form = b"--x\r\nContent-Disposition: form-data; name=a\r\n\r\n\r\n--x--";
        assert_eq!(read(form, "x").unwrap(), [("a".to_owned(), None, b"".as_slice())]);
        assert_eq!(read(b"--x--\r\n", "x").unwrap(), []);
    }

    #[test]
    fn names_with_quotes_and_line_breaks_come_back() {
        let form = b"--x\r\nContent-Disposition: form-data; name=\"a%22b%0D%0Ac\"; filename=\"\\\"q;=\"\r\n\r\nv\r\n--x--";
        let parts = read(form, "x").unwrap();
        assert_eq!(parts[0].0, "a\"b\r\nc");
        assert_eq!(parts[0].1.as_deref(), Some("\"q;="));
    }

    #[test]
    fn what_is_cut_or_malformed_is_no_form() {
        let whole = b"--x\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nvalue\r\n--x--";
        for end in 0..whole.len() {
            assert!(parse(&whole[..end], "x").is_none(), "{end}");
        }
        for form in [
            &b"--x\r\nContent-Disposition: attachment; name=\"a\"\r\n\r\nv\r\n--x--"[..],
            b"--x\r\nContent-Disposition: form-data; filename=\"a\"\r\n\r\nv\r\n--x--",
            b"--x\r\nno colon\r\n\r\nv\r\n--x--",
            b"--x\r\n\r\nv\r\n--x--",
            b"--x\nContent-Disposition: form-data; name=\"a\"\n\nv\n--x--",
            b"--y--",
        ] {
            assert!(parse(form, "x").is_none());
        }
        assert!(parse(whole, "").is_none());
        assert!(parse(whole, &"x".repeat(MAX_BOUNDARY + 1)).is_none());
    }

    #[test]
    fn parts_are_bounded() {
        let part = "\r\nContent-Disposition: form-data; name=a\r\n\r\n\r\n--x";
        let form = |parts: usize| format!("--x{}--", part.repeat(parts));
        assert_eq!(
            parse(form(MAX_PARTS).as_bytes(), "x").map(|parts| parts.len()),
            Some(MAX_PARTS)
        );
        assert!(parse(form(MAX_PARTS + 1).as_bytes(), "x").is_none());
    }
}
