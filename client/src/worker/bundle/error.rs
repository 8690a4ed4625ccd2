//! Why there is no bundle.

use std::io;
use std::path::Path;

use jeju_worker_protocol::{BundleError, code};
use thiserror::Error;

use super::esbuild::Reason;
use crate::files::FileError;

/// Why there is no bundle.
#[derive(Debug, Error)]
pub enum BundlingError {
    /// A file can't be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// A module that doesn't parse.
    #[error("{module}:{line}: {words}")]
    Syntax {
        /// Its name.
        module: String,
        /// Where, from 1; 0 where nothing says so.
        line: usize,
        /// What the parser says.
        words: String,
    },
    /// An import of what isn't there.
    #[error("{importer} imports {specifier:?}, which is not there")]
    NotFound {
        /// What is imported.
        specifier: String,
        /// Who does.
        importer: String,
    },
    /// A path that leads out of the project.
    #[error("{importer} imports {specifier:?}, which is not in the project's folder")]
    Outside {
        /// What is imported.
        specifier: String,
        /// Who does.
        importer: String,
    },
    /// A bundler is needed and isn't installed.
    #[error("{0}, which needs esbuild: run `npm install --save-dev esbuild` in the project")]
    NoBundler(Reason),
    /// The bundler fails.
    #[error("esbuild: {0}")]
    Bundler(String),
    /// Not a bundle that a node takes.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// The system refuses what is needed.
    #[error("{0}")]
    System(io::Error),
}

impl BundlingError {
    /// Stable code.
    pub fn code(&self) -> &'static str {
        match self {
            BundlingError::File(error) => error.code(),
            BundlingError::Syntax { .. } => code::SYNTAX,
            BundlingError::NotFound { .. } => code::IMPORT,
            BundlingError::Outside { .. } => "bundle_outside_project",
            BundlingError::NoBundler(_) => "bundler_missing",
            BundlingError::Bundler(_) => "bundler_failed",
            BundlingError::Bundle(error) => error.code(),
            BundlingError::System(_) => "system",
        }
    }

    pub(super) fn unreadable(path: &Path, source: io::Error) -> Self {
        BundlingError::File(FileError::Unreadable {
            path: path.to_owned(),
            source,
        })
    }
}
