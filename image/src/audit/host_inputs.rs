//! What the host still chooses of a measured guest, platform by platform: `image/host-inputs.toml`, which
//! `docs/threat-model.md` repeats as a table.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// One input on one platform.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HostInput {
    /// Name that documents use.
    pub id: String,
    /// What it is.
    pub input: String,
    /// What becomes of it.
    #[serde(flatten)]
    pub answer: Answer,
}

/// Why an input can't be used against the guest, or where it shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Answer {
    /// Another value gives other evidence: by which register or field.
    Measured(String),
    /// Not measured: why that is no harm, or what harm remains.
    Argued(String),
}

/// The inputs of a platform; none for a platform that the file doesn't have.
pub fn of(platform: &str) -> Vec<HostInput> {
    let of_platform = |input: Input| {
        Some(HostInput {
            answer: input.on.get(platform)?.clone(),
            id: input.id,
            input: input.input,
        })
    };
    compiled_in().into_iter().filter_map(of_platform).collect()
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Input {
    id: String,
    input: String,
    on: BTreeMap<String, Answer>,
}

fn compiled_in() -> Vec<Input> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Listed {
        host_input: Vec<Input>,
    }
    let listed: Listed = toml::from_str(include_str!("../../host-inputs.toml"))
        .expect("a file that is compiled in, and tested");
    listed.host_input
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLATFORMS: [&str; 4] = ["tdx", "snp", "nitro", "qemu"];

    #[test]
    fn every_platform_answers_every_input() {
        let inputs = compiled_in();
        let mut ids: Vec<_> = inputs.iter().map(|input| &input.id).collect();
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), inputs.len(), "an id stands there twice");
        for input in &inputs {
            let platforms: Vec<_> = input.on.keys().map(String::as_str).collect();
            assert_eq!(platforms, ["nitro", "qemu", "snp", "tdx"], "{}", input.id);
        }
        for platform in PLATFORMS {
            assert_eq!(of(platform).len(), inputs.len());
        }
        assert!(of("other").is_empty());
    }

    /// The document's table is the file's: each row, in order.
    #[test]
    fn the_threat_model_repeats_the_file() {
        let document = include_str!("../../../docs/threat-model.md");
        let start = "| Input | TDX | SEV-SNP | Nitro | QEMU (simulated) |\n|---|---|---|---|---|\n";
        let mut wanted = start.to_owned();
        for input in compiled_in() {
            wanted.push_str(&format!("| `{}`: {}", input.id, input.input));
            for platform in PLATFORMS {
                wanted.push_str(" | ");
                wanted.push_str(&match &input.on[platform] {
                    Answer::Measured(by) => format!("measured by {by}"),
                    Answer::Argued(why) => format!("argued: {why}"),
                });
            }
            wanted.push_str(" |\n");
        }
        assert!(
            document.contains(&wanted),
            "docs/threat-model.md should have this table:\n\n{wanted}"
        );
    }
}
