//! Inputs over the network. `curl` moves the bytes, and is believed nothing: size and digest are checked here.

use std::io::{self, Read};
use std::path::Path;
use std::process::{Command, Stdio};

use thiserror::Error;

use super::{Cache, EntryError, Input, Place};

/// Where crates are published.
const CRATES: &str = "https://static.crates.io/crates";
const DEBIAN: &str = "https://deb.debian.org";
const SNAPSHOT: &str = "https://snapshot.debian.org/archive/{repository}/{time}";
const REPOSITORY: &str = "{repository}";
const TIME: &str = "{time}";
/// How often a broken download is begun again. Not left to curl: it can't take back what it has written to a pipe.
const ATTEMPTS: u32 = 3;
/// Exit status of curl for a refusal of the server, with `--fail`.
const HTTP_ERROR: i32 = 22;

/// Why an input didn't come over the network.
#[derive(Debug, Error)]
pub enum FetchError {
    /// The program isn't there.
    #[error("curl can't be started: {0}")]
    Curl(io::Error),
    /// The download failed.
    #[error("{url}: {message}")]
    Download {
        /// What was asked for.
        url: String,
        /// What curl said.
        message: String,
        /// Whether the server answered, and refused.
        refused: bool,
    },
    /// Something else came.
    #[error("{url}: {error}")]
    Entry {
        /// What was asked for.
        url: String,
        /// How it differs.
        error: EntryError,
    },
}

/// Where Debian packages are fetched from.
#[derive(Debug, Clone)]
pub struct Mirror {
    /// Addresses to try, one after the other.
    bases: Vec<String>,
}

/// An address that can't be a mirror's.
#[derive(Debug, Error)]
#[error("{0:?} is no address of a mirror: http://… or https://…, without spaces or quotes")]
pub struct MirrorError(String);

impl Default for Mirror {
    /// Debian's own archive, and then the one that has what it has replaced since the lock was written.
    fn default() -> Self {
        Self {
            bases: [DEBIAN, SNAPSHOT].map(str::to_owned).to_vec(),
        }
    }
}

impl Mirror {
    /// A mirror below which repositories are folders of their name, as with `https://deb.debian.org`. Where they
    /// aren't the last part, `{repository}` stands for the name; `{time}` stands for when the lock was written, as in
    /// `https://snapshot.debian.org/archive/{repository}/{time}`.
    ///
    /// # Errors
    /// [`MirrorError`].
    pub fn new(address: &str) -> Result<Self, MirrorError> {
        let web = address.starts_with("http://") || address.starts_with("https://");
        if !web
            || !address
                .bytes()
                .all(|byte| byte.is_ascii_graphic() && byte != b'"')
        {
            return Err(MirrorError(address.to_owned()));
        }
        Ok(Self {
            bases: vec![address.trim_end_matches('/').to_owned()],
        })
    }

    /// Where an input is published.
    pub(super) fn urls(&self, input: &Input) -> Vec<String> {
        match &input.place {
            Place::Debian {
                repository,
                path,
                time,
            } => {
                let url = |base: &String| {
                    let folder = if base.contains(REPOSITORY) {
                        ""
                    } else {
                        "/{repository}"
                    };
                    let address = format!("{base}{folder}");
                    format!(
                        "{}/{path}",
                        address.replace(REPOSITORY, repository).replace(TIME, time)
                    )
                };
                self.bases.iter().map(url).collect()
            }
            // The + of a version is not a space.
            Place::CratesIo => vec![format!(
                "{CRATES}/{}/{}",
                input.name,
                input.file_name.replace('+', "%2B")
            )],
            Place::Given => Vec::new(),
        }
    }
}

impl std::str::FromStr for Mirror {
    type Err = MirrorError;

    fn from_str(address: &str) -> Result<Self, MirrorError> {
        Self::new(address)
    }
}

/// Brings an input from an address into the cache.
///
/// # Errors
/// Any of [`FetchError`].
pub(super) fn fetch(cache: &Cache, input: &Input, url: &str) -> Result<(), FetchError> {
    let mut attempt = 1;
    loop {
        match download(cache, input, url) {
            Err(FetchError::Download { refused: false, .. }) if attempt < ATTEMPTS => attempt += 1,
            result => return result,
        }
    }
}

fn download(cache: &Cache, input: &Input, url: &str) -> Result<(), FetchError> {
    let mut curl = Command::new("curl")
        .args(["--silent", "--show-error", "--fail", "--location", "--globoff"])
        .args(["--proto", "=http,https", "--max-redirs", "5"])
        .args([
            "--connect-timeout",
            "30",
            "--speed-time",
            "60",
            "--speed-limit",
            "1",
        ])
        .args(["--url", url])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(FetchError::Curl)?;
    // Closed when it returns, which ends a download that is too long.
    let taken = cache.insert(input, curl.stdout.take().expect("piped"), Path::new("download"));
    let mut message = String::new();
    if let Some(stderr) = curl.stderr.take() {
        let _ = stderr.take(4096).read_to_string(&mut message);
    }
    let status = curl.wait().map_err(FetchError::Curl)?;
    let url = url.to_owned();
    match taken {
        Ok(_) => Ok(()),
        // What was cut short is no other file.
        Err(EntryError::Size { .. } | EntryError::Digest { .. }) if !status.success() => {
            Err(FetchError::Download {
                url,
                message: message.trim().to_owned(),
                refused: status.code() == Some(HTTP_ERROR),
            })
        }
        Err(error) => Err(FetchError::Entry { url, error }),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write;
    use std::net::{SocketAddr, TcpListener};
    use std::thread;

    use super::*;
    use crate::inputs::tests::input;
    use crate::inputs::{Inputs, InputsError, Kind, Missing, MissingReason, Source};

    /// An HTTP server that answers each request with these bytes.
    fn serve(answer: &'static [u8]) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut request = Vec::new();
                let mut byte = [0];
                while !request.ends_with(b"\r\n\r\n") && stream.read_exact(&mut byte).is_ok() {
                    request.push(byte[0]);
                }
                let _ = stream.write_all(answer);
            }
        });
        address
    }

    fn get(mirror: Mirror, input: &Input) -> Result<Vec<u8>, InputsError> {
        let folder = tempfile::tempdir().unwrap();
        let inputs = Inputs::new(Cache::new(folder.path().to_owned()), Source::Network(mirror));
        let paths = inputs.get(std::slice::from_ref(input))?;
        Ok(fs::read(&paths[0]).unwrap())
    }

    fn at(address: SocketAddr) -> Mirror {
        Mirror::new(&format!("http://{address}")).unwrap()
    }

    fn reason(result: Result<Vec<u8>, InputsError>) -> FetchError {
        match result {
            Err(InputsError::Missing(mut missing)) => match missing.remove(0) {
                Missing {
                    reason: MissingReason::Fetch(mut errors),
                    ..
                } => errors.remove(0),
                other => panic!("{other:?}"),
            },
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_the_lock_names_is_taken() {
        let address = serve(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nbytes");
        assert_eq!(get(at(address), &input("a", b"bytes")).unwrap(), b"bytes");
    }

    #[test]
    fn other_files_are_refused() {
        let address = serve(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nbytez");
        let error = reason(get(at(address), &input("a", b"bytes")));
        assert!(
            matches!(
                &error,
                FetchError::Entry {
                    error: EntryError::Digest { .. },
                    ..
                }
            ),
            "{error:?}"
        );
        assert!(error.to_string().contains("/debian/pool/main/a_1.0-1_amd64.deb"));
    }

    #[test]
    fn an_answer_without_end_is_left() {
        // No length: the body ends with the connection, which the server closes only because the reader does.
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
                while stream.write_all(&[b'a'; 1 << 16]).is_ok() {}
            }
        });
        let error = reason(get(at(address), &input("a", b"bytes")));
        assert!(
            matches!(
                &error,
                FetchError::Entry {
                    error: EntryError::TooLong(5),
                    ..
                }
            ),
            "{error:?}"
        );
    }

    #[test]
    fn an_absent_file_is_what_curl_says() {
        let address = serve(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
        let error = reason(get(at(address), &input("a", b"bytes")));
        assert!(
            matches!(&error, FetchError::Download { message, refused: true, .. } if message.contains("404")),
            "{error:?}"
        );
    }

    #[test]
    fn the_second_address_has_what_the_first_has_not() {
        let first = serve(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
        let second = serve(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nbytes");
        let mirror = Mirror {
            bases: vec![
                format!("http://{first}"),
                format!("http://{second}/{{repository}}/{{time}}"),
            ],
        };
        assert_eq!(get(mirror, &input("a", b"bytes")).unwrap(), b"bytes");
    }

    #[test]
    fn a_broken_download_is_begun_again() {
        // Every answer is shorter than it says.
        let address = serve(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nbyt");
        let error = reason(get(at(address), &input("a", b"bytes")));
        assert!(
            matches!(&error, FetchError::Download { refused: false, .. }),
            "{error:?}"
        );
    }

    #[test]
    fn addresses_of_mirrors() {
        let deb = input("a", b"");
        let path = "pool/main/a_1.0-1_amd64.deb";
        assert_eq!(
            Mirror::default().urls(&deb),
            [
                format!("https://deb.debian.org/debian/{path}"),
                format!("https://snapshot.debian.org/archive/debian/20260101T000000Z/{path}"),
            ]
        );
        for (mirror, url) in [
            ("http://mirror/", "http://mirror/debian"),
            ("http://mirror/{repository}/x", "http://mirror/debian/x"),
            ("http://mirror/{time}", "http://mirror/20260101T000000Z/debian"),
        ] {
            assert_eq!(Mirror::new(mirror).unwrap().urls(&deb), [format!("{url}/{path}")]);
        }
        let krate = Input {
            kind: Kind::Crate,
            name: "toml".to_owned(),
            file_name: "toml-1.2.1+spec-1.1.0.crate".to_owned(),
            place: Place::CratesIo,
            ..deb
        };
        assert_eq!(
            Mirror::default().urls(&krate),
            ["https://static.crates.io/crates/toml/toml-1.2.1%2Bspec-1.1.0.crate"]
        );
        for other in ["file:///etc", "deb.debian.org", "http://a b", "http://\""] {
            assert!(Mirror::new(other).is_err(), "{other}");
        }
    }
}
