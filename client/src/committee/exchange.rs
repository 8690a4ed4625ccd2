//! The folder through which members exchange what they say: each message is a file that its member's account has signed.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use jeju_attestation::hash::sha256;
use jeju_wallet_auth::signature::{AccountKey, Signature, text_digest};
use serde::{Deserialize, Serialize};

use super::{Committee, CommitteeError};

/// Longest message, in bytes.
const MAX_LEN: u64 = 64 * 1024;
const POLL: Duration = Duration::from_millis(100);

/// One member's end of a ceremony.
pub(super) struct Exchange<'a> {
    /// Who takes part.
    pub committee: &'a Committee,
    /// What the ceremony is about: messages of another one are refused.
    pub about: [u8; 32],
    /// The folder.
    pub folder: &'a Path,
    /// The member's key.
    pub key: &'a AccountKey,
    /// The member's number.
    pub member: u16,
    /// Longest wait for all others' messages of a step.
    pub wait: Duration,
}

/// A message as it lies in a file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Message {
    member: u16,
    step: String,
    /// In hexadecimal.
    content: String,
    signature: String,
}

impl Exchange<'_> {
    /// Says something to all.
    ///
    /// # Errors
    /// [`CommitteeError::Exists`]: this member has said something in this step before.
    pub fn say(&self, step: &str, content: &[u8]) -> Result<(), CommitteeError> {
        let message = Message {
            member: self.member,
            step: step.to_owned(),
            content: hex::encode(content),
            signature: self
                .key
                .sign(&self.digest(self.member, step, content))
                .to_string(),
        };
        let text = serde_json::to_vec(&message).map_err(|_| CommitteeError::Crypto("a message is JSON"))?;
        write_new(&self.path(step, self.member), &text)
    }

    /// What each of these members says, in their order; of this member itself, what it has said.
    ///
    /// # Errors
    /// [`CommitteeError::Silent`], [`CommitteeError::Message`].
    pub async fn hear(&self, step: &str, members: &[u16]) -> Result<Vec<Vec<u8>>, CommitteeError> {
        let start = Instant::now();
        let mut heard = Vec::new();
        for &member in members {
            let path = self.path(step, member);
            loop {
                match read(&path) {
                    Ok(text) => {
                        heard.push(self.content(step, member, &text)?);
                        break;
                    }
                    Err(error) if error.kind() != io::ErrorKind::NotFound => {
                        return Err(CommitteeError::File { path, source: error });
                    }
                    Err(_) if start.elapsed() >= self.wait => return Err(CommitteeError::Silent(member)),
                    Err(_) => tokio::time::sleep(POLL).await,
                }
            }
        }
        Ok(heard)
    }

    fn content(&self, step: &str, member: u16, text: &[u8]) -> Result<Vec<u8>, CommitteeError> {
        let wrong = |what| CommitteeError::Message { member, what };
        let message: Message = serde_json::from_slice(text).map_err(|_| wrong("not a message"))?;
        if message.member != member || message.step != step {
            return Err(wrong("a message of another member or step"));
        }
        let content = hex::decode(&message.content).map_err(|_| wrong("not a message"))?;
        let digest = self.digest(member, step, &content);
        let signer = Signature::parse(&message.signature).and_then(|signature| signature.recover(&digest));
        match signer {
            Ok(signer) if self.committee.account(member) == Some(signer) => Ok(content),
            _ => Err(wrong("its account has not signed this message of this ceremony")),
        }
    }

    fn digest(&self, member: u16, step: &str, content: &[u8]) -> [u8; 32] {
        text_digest(&format!(
            "jeju committee\ncommittee {}\nabout {}\nmember {member}\nstep {step}\ncontent {}",
            hex::encode(self.committee.id()),
            hex::encode(self.about),
            hex::encode(sha256(content)),
        ))
    }

    fn path(&self, step: &str, member: u16) -> PathBuf {
        self.folder.join(format!("{step}-{member}.json"))
    }
}

/// Writes a file that isn't there yet, whole or not at all; only its owner can read it.
pub(super) fn write_new(path: &Path, bytes: &[u8]) -> Result<(), CommitteeError> {
    let failed = |source: io::Error| match source.kind() {
        io::ErrorKind::AlreadyExists => CommitteeError::Exists(path.to_owned()),
        _ => CommitteeError::File {
            path: path.to_owned(),
            source,
        },
    };
    let mut partial = path.as_os_str().to_owned();
    partial.push(format!(".{}.partial", std::process::id()));
    let partial = PathBuf::from(partial);
    let written = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&partial)
        .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
        // A link, unlike a rename, never replaces what is there.
        .and_then(|()| fs::hard_link(&partial, path));
    let _ = fs::remove_file(&partial);
    written.map_err(failed)
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_LEN).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use jeju_attestation::hex_bytes::HexBytes;

    use super::*;

    fn key(byte: u8) -> AccountKey {
        AccountKey::from_bytes(&[byte; 32]).unwrap()
    }

    fn exchange<'a>(
        committee: &'a Committee,
        folder: &'a Path,
        key: &'a AccountKey,
        member: u16,
    ) -> Exchange<'a> {
        Exchange {
            committee,
            about: [7; 32],
            folder,
            key,
            member,
            wait: Duration::ZERO,
        }
    }

    #[tokio::test]
    async fn only_a_members_own_word_of_this_ceremony_is_heard() {
        let folder = tempfile::tempdir().unwrap();
        let (one, two) = (key(1), key(2));
        let committee = Committee {
            threshold: 2,
            members: [&one, &two].map(|key| HexBytes(key.account().0)).to_vec(),
        };
        let first = exchange(&committee, folder.path(), &one, 1);
        let second = exchange(&committee, folder.path(), &two, 2);
        first.say("step", b"word").unwrap();
        assert_eq!(second.hear("step", &[1]).await.unwrap(), [b"word"]);
        let silent = second.hear("step", &[1, 2]).await.unwrap_err();
        assert_eq!(silent.code(), "committee_member_silent");
        // Nobody speaks twice in a step.
        assert_eq!(first.say("step", b"other").unwrap_err().code(), "file_exists");

        // Another ceremony, another step, another member's key, another content, no message at all.
        let other = Exchange {
            about: [8; 32],
            ..exchange(&committee, folder.path(), &two, 2)
        };
        let code = async |exchange: &Exchange<'_>, step| exchange.hear(step, &[1]).await.unwrap_err().code();
        assert_eq!(code(&other, "step").await, "committee_message_invalid");
        let said = fs::read_to_string(folder.path().join("step-1.json")).unwrap();
        let forger = exchange(&committee, folder.path(), &two, 1);
        forger.say("forged", b"word").unwrap();
        for (name, text) in [
            ("moved", said.clone()),
            (
                "changed",
                said.replace(&hex::encode(b"word"), &hex::encode(b"lord")),
            ),
            ("nothing", "[]".to_owned()),
            ("long", " ".repeat(100_000)),
        ] {
            fs::write(folder.path().join(format!("{name}-1.json")), text).unwrap();
            assert_eq!(code(&second, name).await, "committee_message_invalid", "{name}");
        }
        assert_eq!(code(&second, "forged").await, "committee_message_invalid");
    }
}
