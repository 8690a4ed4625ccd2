//! What `jeju dev` is told.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use clap::Args;
use jeju_attestation::hex_bytes::HexBytes;

/// Port at which tenants log in.
const SSH: u16 = 2222;
/// Second account of a local chain, whose key everybody knows: the first one deploys the contracts.
const PROVIDER: HexBytes<20> = HexBytes([
    0x70, 0x99, 0x79, 0x70, 0xc5, 0x18, 0x12, 0xdc, 0x3a, 0x01, 0x0c, 0x7d, 0x01, 0xb5, 0x0e, 0x0d, 0x17,
    0xdc, 0x79, 0xc8,
]);

/// Options of `jeju dev`. The environment variable `JEJU_PORT_BASE=N` moves the ports: proxy N, node N+1, chain N+2.
#[derive(Debug, Clone, Args)]
pub struct DevArguments {
    /// Folder for documents, logs, simulated silicon and sockets
    #[arg(long, value_name = "DIR", default_value = ".jeju")]
    pub state: PathBuf,
    /// Image folder to boot [default: image in the state folder, built if it isn't there]
    #[arg(long, value_name = "DIR", conflicts_with = "process")]
    pub image: Option<PathBuf>,
    /// Run the node as an ordinary process instead of a guest
    #[arg(long, requires = "model")]
    pub process: bool,
    /// Node's binary, built for development (with --process)
    #[arg(long, value_name = "FILE", requires = "process")]
    pub enclave: Option<PathBuf>,
    /// Model (GGUF; with --process, or to build the image with)
    #[arg(long, value_name = "FILE")]
    pub model: Option<PathBuf>,
    /// Static program for containers of rentals (with --process and --docker)
    #[arg(long, value_name = "FILE", requires = "process")]
    pub agent: Option<PathBuf>,
    /// Rent out machines on this Docker engine, for the provider's account
    #[arg(long, value_name = "unix:SOCKET")]
    pub docker: Option<String>,
    /// Address at which tenants log in, with --docker [default: 127.0.0.1:2222]
    #[arg(long, value_name = "ADDRESS", requires = "docker")]
    pub ssh: Option<SocketAddr>,
    /// The provider's account, with --docker [default: the local chain's second one]
    #[arg(long, value_name = "ADDRESS", requires = "docker", value_parser = account)]
    pub provider: Option<HexBytes<20>>,
    /// Take workers, at this address
    #[arg(long, value_name = "ADDRESS", num_args = 0..=1, require_equals = true, default_missing_value = "127.0.0.1:4020")]
    pub workers: Option<SocketAddr>,
    /// Name of the model in the API
    #[arg(long, value_name = "ID", default_value = "smollm2-135m-instruct")]
    pub model_id: String,
    /// Local chain's program [default: JEJU_ANVIL, the one of contracts/node_modules, or that of PATH]
    #[arg(long, value_name = "FILE")]
    pub anvil: Option<PathBuf>,
    /// What to ask the node
    #[arg(long, default_value = "Say hello in one short sentence.")]
    pub prompt: String,
    /// Most seconds until the node serves
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    pub ready_within: u64,
    /// End after the verified answer, with one JSON line on standard output
    #[arg(long)]
    pub once: bool,
    /// Say on standard output, as one JSON line, where it is once it is ready, or why it isn't
    #[arg(long)]
    pub json: bool,
}

impl DevArguments {
    pub(super) fn ssh(&self) -> SocketAddr {
        self.ssh.unwrap_or((Ipv4Addr::LOCALHOST, SSH).into())
    }

    pub(super) fn provider(&self) -> HexBytes<20> {
        self.provider.unwrap_or(PROVIDER)
    }
}

fn account(text: &str) -> Result<HexBytes<20>, String> {
    HexBytes::parse(&text.to_ascii_lowercase()).ok_or_else(|| "0x and 40 hex digits are expected".to_owned())
}
