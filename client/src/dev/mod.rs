//! x
use clap::Args;
use thiserror::Error;
/// A
#[derive(Debug, Clone, Args)]
pub struct DevArguments {}
/// E
#[derive(Debug, Error)]
pub enum DevError {}
impl DevError {
    /// c
    pub fn code(&self) -> &'static str { "x" }
    /// c
    pub fn exit_code(&self) -> u8 { 1 }
}
/// R
pub async fn run(_a: DevArguments) -> Result<(), DevError> { Ok(()) }
