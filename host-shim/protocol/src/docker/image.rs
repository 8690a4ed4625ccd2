use std::fmt;
use std::str::FromStr;

use super::Refusal;
use super::name::digits;

/// Longest reference in bytes.
const MAX_REFERENCE: usize = 256;
/// Longest tag in bytes (distribution reference grammar).
const MAX_TAG: usize = 128;

/// Reference to an image: `[registry[:port]/]name[:tag][@sha256:digest]`, at most 256 bytes.
///
/// The grammar is that of `distribution/reference`, in its lower-case form. One without tag and digest means, and
/// becomes, `:latest`. No reference starts with a dash, so none is an option of a command line.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ImageReference {
    name: String,
    tag: Option<String>,
    digest: Option<[u8; 32]>,
}

impl ImageReference {
    /// Registry and path, without tag and digest.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The tag. The engine ignores it where there is a digest too.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// SHA-256 digest of the image's manifest: with it the reference names one image for ever.
    pub const fn digest(&self) -> Option<[u8; 32]> {
        self.digest
    }

    /// Name as the engine shows it in `RepoDigests`: without `docker.io/` and `library/`.
    pub fn familiar_name(&self) -> &str {
        let short = ["docker.io/", "index.docker.io/"]
            .into_iter()
            .find_map(|hub| self.name.strip_prefix(hub));
        match short {
            None if self.name.contains('/') => {
                let first = self.name.split('/').next().unwrap_or_default();
                if is_domain(first) {
                    &self.name
                } else {
                    official(&self.name)
                }
            }
            None => &self.name,
            Some(short) => official(short),
        }
    }

    /// Some reference.
    pub(super) fn placeholder() -> Self {
        Self {
            name: "template".to_owned(),
            tag: None,
            digest: Some([0; 32]),
        }
    }

    /// What `images/create` takes as `fromImage` and `tag`.
    pub(super) fn pull_query(&self) -> String {
        match (&self.tag, self.digest) {
            (Some(tag), Some(digest)) => {
                format!("fromImage={}:{tag}&tag=sha256:{}", self.name, hex::encode(digest))
            }
            (None, Some(digest)) => {
                format!("fromImage={}&tag=sha256:{}", self.name, hex::encode(digest))
            }
            (tag, None) => {
                let tag = tag.as_deref().unwrap_or("latest");
                format!("fromImage={}&tag={tag}", self.name)
            }
        }
    }

    pub(super) fn from_pull_query(query: &str) -> Result<Self, Refusal> {
        let (from, tag) = query
            .strip_prefix("fromImage=")
            .and_then(|rest| rest.split_once("&tag="))
            .ok_or_else(Refusal::query)?;
        match tag.contains(':') {
            true => format!("{from}@{tag}").parse(),
            false => format!("{from}:{tag}").parse(),
        }
    }
}

fn official(path: &str) -> &str {
    match path.strip_prefix("library/") {
        Some(name) if !name.contains('/') => name,
        _ => path,
    }
}

impl FromStr for ImageReference {
    type Err = Refusal;

    fn from_str(text: &str) -> Result<Self, Refusal> {
        if text.len() > MAX_REFERENCE {
            return Err(Refusal::image(format!(
                "an image reference has at most {MAX_REFERENCE} bytes"
            )));
        }
        let malformed =
            || Refusal::image("an image reference is [registry[:port]/]name[:tag][@sha256:digest]");
        let (rest, digest) = match text.split_once('@') {
            None => (text, None),
            Some((rest, digest)) => {
                let digest = digest
                    .strip_prefix("sha256:")
                    .and_then(digits)
                    .ok_or_else(malformed)?;
                (rest, Some(digest))
            }
        };
        // A colon before the last slash is that of the registry's port.
        let (name, tag) = match rest.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
            _ => (rest, None),
        };
        if !is_name(name) || !tag.is_none_or(is_tag) {
            return Err(malformed());
        }
        let tag = match (tag, digest) {
            (None, None) => Some("latest"),
            (tag, _) => tag,
        };
        let reference = Self {
            name: name.to_owned(),
            tag: tag.map(str::to_owned),
            digest,
        };
        if reference.to_string().len() > MAX_REFERENCE {
            return Err(malformed());
        }
        Ok(reference)
    }
}

impl fmt::Display for ImageReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@sha256:{}", hex::encode(digest))?;
        }
        Ok(())
    }
}

/// `[domain/]component[/component]…`. The first component is a registry if it looks like one.
fn is_name(name: &str) -> bool {
    match name.split_once('/') {
        Some((first, path)) if is_domain(first) => path.split('/').all(is_component),
        _ => name.split('/').all(is_component),
    }
}

/// Whether the part in front of the first slash names a registry: `localhost`, or with a dot or a port.
fn is_domain(first: &str) -> bool {
    let (host, port) = match first.split_once(':') {
        None => (first, None),
        Some((host, port)) => (host, Some(port)),
    };
    if port.is_none() && !host.contains('.') && host != "localhost" {
        return false;
    }
    let label = |label: &str| {
        let bytes = label.as_bytes();
        let ends = [bytes.first(), bytes.last()];
        ends.iter()
            .all(|end| end.is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit()))
            && bytes
                .iter()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || *byte == b'-')
    };
    let number = |port: &str| {
        crate::line::decimal(port).is_ok_and(|number| (1..=u64::from(u16::MAX)).contains(&number))
    };
    host.split('.').all(label) && port.is_none_or(number)
}

/// `alnum ((. | _ | __ | -+) alnum)*`
fn is_component(component: &str) -> bool {
    let alphanumeric = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let mut rest = component.as_bytes();
    loop {
        let run = rest.iter().take_while(|byte| alphanumeric(byte)).count();
        if run == 0 {
            return false;
        }
        rest = &rest[run..];
        let separator = match rest {
            [] => return true,
            [b'_', b'_', ..] => 2,
            [b'.' | b'_', ..] => 1,
            _ => rest.iter().take_while(|byte| **byte == b'-').count(),
        };
        if separator == 0 {
            return false;
        }
        rest = &rest[separator..];
    }
}

/// `[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}`
fn is_tag(tag: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    match tag.as_bytes() {
        [first, rest @ ..] => {
            tag.len() <= MAX_TAG
                && word(*first)
                && rest.iter().all(|byte| word(*byte) || matches!(byte, b'.' | b'-'))
        }
        [] => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "sha256:00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

    #[test]
    fn references_round_trip() {
        for text in [
            "busybox:latest",
            "library/busybox:1.36",
            "docker.io/library/busybox:1.36-musl",
            "127.0.0.1:5000/a/b_c/d__e/f--g.h:V_1.2-x",
            "localhost/a:b",
            "registry.example:65535/x:y",
            &format!("a@{DIGEST}"),
            &format!("localhost:5000/a:t@{DIGEST}"),
        ] {
            let reference: ImageReference = text.parse().unwrap();
            assert_eq!(reference.to_string(), text);
            assert_eq!(
                ImageReference::from_pull_query(&reference.pull_query()).unwrap(),
                reference
            );
            assert_eq!(reference.digest().is_some(), text.contains('@'));
        }
        let plain: ImageReference = "busybox".parse().unwrap();
        assert_eq!(plain.to_string(), "busybox:latest");
    }

    #[test]
    fn what_is_no_reference_is_refused() {
        let long = "a".repeat(257);
        let tag = format!("a:{}", "t".repeat(129));
        for text in [
            "",
            "-a",
            "--privileged",
            "-v/:/h",
            "a b",
            "a\n",
            "a\0",
            "A",
            "Busybox",
            "busybo\u{17f}",
            "\u{212a}",
            "a//b",
            "/a",
            "a/",
            "../a",
            "a/../b",
            "a/./b",
            "a..b",
            "a___b",
            "a-",
            "_a",
            "a:",
            "a:-t",
            "a:.t",
            "a:t:u",
            "a:t?x=1",
            "a&tag=b",
            "a%2fb",
            "a+b",
            "a#b",
            "a@",
            "a@sha256:00",
            "a@sha512:00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff",
            "a@sha256:00112233445566778899AABBCCDDEEFF00112233445566778899aabbccddeeff",
            "localhost:0/a",
            "localhost:65536/a",
            "localhost:05/a",
            "localhost:/a",
            "-x.y/a",
            "x-.y/a",
            "Registry.example/a",
            "http://x/a",
            &format!("a@{DIGEST}@{DIGEST}"),
            &long,
            &tag,
        ] {
            let refused = text.parse::<ImageReference>().unwrap_err();
            assert_eq!(refused.code, "docker_image_malformed", "{text:?}");
        }
    }

    #[test]
    fn familiar_names_are_those_of_the_engine() {
        for (text, familiar) in [
            ("busybox", "busybox"),
            ("library/busybox", "busybox"),
            ("docker.io/library/busybox:1", "busybox"),
            ("docker.io/a/b", "a/b"),
            ("localhost:5000/library/b", "localhost:5000/library/b"),
            ("a/b", "a/b"),
        ] {
            let reference: ImageReference = text.parse().unwrap();
            assert_eq!(reference.familiar_name(), familiar);
        }
    }
}
