//! The metadata section.

use serde::{Deserialize, Serialize};

use super::{EifError, MAX_METADATA};

/// What the metadata section says, for people; not measured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct Metadata {
    /// Name of the image.
    pub image_name: String,
    /// Its version.
    pub image_version: String,
    /// Who built what.
    pub build_metadata: BuildMetadata,
    /// Of an image that was made from a container; ours is none: an empty object.
    pub docker_info: serde_json::Value,
    /// Anything; in ours null.
    pub custom_metadata: serde_json::Value,
}

/// Part of [`Metadata`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct BuildMetadata {
    /// In ours always 1970-01-01, so that the file is the same whenever it is built.
    pub build_time: String,
    /// Name of the program.
    pub build_tool: String,
    /// Its version.
    pub build_tool_version: String,
    /// What runs on the kernel.
    pub operating_system: String,
    /// Version of the kernel.
    pub kernel_version: String,
}

impl Metadata {
    /// That of our images: the same for the same versions.
    pub fn new(image_version: &str, kernel_version: &str) -> Self {
        Self {
            image_name: "jeju-enclave".to_owned(),
            image_version: image_version.to_owned(),
            build_metadata: BuildMetadata {
                build_time: "1970-01-01T00:00:00+00:00".to_owned(),
                build_tool: "jeju-image".to_owned(),
                build_tool_version: env!("CARGO_PKG_VERSION").to_owned(),
                operating_system: "Linux".to_owned(),
                kernel_version: kernel_version.to_owned(),
            },
            docker_info: serde_json::Value::Object(serde_json::Map::new()),
            custom_metadata: serde_json::Value::Null,
        }
    }

    pub(super) fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("strings and JSON values can be written")
    }

    pub(super) fn from_json(json: &[u8]) -> Result<Self, EifError> {
        if json.len() > MAX_METADATA {
            return Err(EifError::MetadataLength(json.len()));
        }
        serde_json::from_slice(json).map_err(|error| EifError::Metadata(error.to_string()))
    }
}
