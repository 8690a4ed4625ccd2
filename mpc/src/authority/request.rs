//! A request as it travels, and what its signer signs of it.

use jeju_attestation::hex_bytes::HexBytes;
use jeju_wallet_auth::eip712::{hash_struct, keccak, number, text};
use jeju_wallet_auth::signature::text_digest;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::document::{
    Address, CALL_RULE_TYPE, KEY_TYPE, KeyDocument, POLICY_TYPE, Policy, TYPED_RULE_TYPE, UNKNOWN_SCHEME,
};
use super::payload::{HexData, Payload, Understood};
use crate::network::{KeyId, KeyPath, Network};
use crate::refusal::Refusal;

/// Longest request, in bytes.
pub const MAX_REQUEST: usize = 32 * 1024;
/// Longest life of a request, in seconds.
pub const MAX_LIFE: u64 = 10 * 60;
/// Most earlier versions that come with a policy.
pub const MAX_HISTORY: usize = 8;

const DOMAIN_TYPE: &str = "EIP712Domain(string name,string version,uint256 chainId,bytes32 salt)";
const DOMAIN_NAME: &str = "Jeju MPC";
const DOMAIN_VERSION: &str = "1";

const KEYGEN_TYPE: &str = "KeygenRequest(bytes32 keyId,Key key,uint64 issued,uint64 expires,bytes32 nonce)";
const SIGN_TYPE: &str = "SignRequest(bytes32 keyId,string scheme,string payload,bytes32 message,uint32 policyVersion,uint64 issued,uint64 expires,bytes32 nonce)";
const REFRESH_TYPE: &str =
    "RefreshRequest(bytes32 keyId,string scheme,uint64 issued,uint64 expires,bytes32 nonce)";
const POLICY_UPDATE_TYPE: &str =
    "PolicyUpdate(bytes32 keyId,Policy policy,uint64 issued,uint64 expires,bytes32 nonce)";

/// A request and who stands for it: the body of the API's calls, and what members pass on to one another, byte for byte.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Signed {
    /// What is asked.
    pub request: Request,
    /// By whom.
    pub authorization: Authorization,
    /// Further owners, for another policy of a key whose quorum is more than one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub approvals: Vec<Authorization>,
}

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Request {
    /// Genesis digest of the network.
    pub network: HexBytes<32>,
    /// Its chain.
    pub chain_id: u64,
    /// The key. In every request, so that members need to remember nothing of keys that they derive.
    pub key: KeyDocument,
    /// What to do.
    pub action: Asked,
    /// Seconds since 1970.
    pub issued: u64,
    /// Seconds since 1970 from which on it means nothing: at most 600 after `issued`.
    pub expires: u64,
    /// Random, once for each request.
    pub nonce: HexBytes<32>,
}

/// What to do with a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    tag = "type",
    rename_all = "snake_case",
    rename_all_fields = "camelCase",
    deny_unknown_fields
)]
pub enum Asked {
    /// Find or make it.
    Keygen {},
    /// Sign with it.
    Sign {
        /// What.
        payload: Payload,
        /// The policy that the signer believes to be in force.
        policy_version: u32,
    },
    /// Give its shares new values.
    Refresh {},
    /// Another policy for it.
    Policy {
        /// The policy.
        policy: Policy,
        /// Versions directly before it, oldest first, for members that missed them. Not signed: the policy commits to them.
        #[serde(default)]
        history: Vec<Policy>,
    },
}

/// A signature and whose it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Authorization {
    /// The account.
    pub account: Address,
    /// 65 bytes of a key's account, anything of a contract's.
    pub signature: HexData,
    /// How it was made.
    pub form: Form,
}

/// What exactly was signed, and how to check it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Form {
    /// The typed data, by a key.
    Eip712,
    /// The text, by a key (`personal_sign`).
    Eip191,
    /// The typed data, by a contract's own rules.
    Erc1271,
}

impl Asked {
    /// `type` of the action.
    pub fn name(&self) -> &'static str {
        match self {
            Asked::Keygen {} => "keygen",
            Asked::Sign { .. } => "sign",
            Asked::Refresh {} => "refresh",
            Asked::Policy { .. } => "policy",
        }
    }
}

impl Signed {
    /// Reads a request. Unknown, missing and double fields are refused.
    ///
    /// # Errors
    /// [`Refusal::Malformed`], [`Refusal::Scheme`].
    pub fn parse(bytes: &[u8]) -> Result<Self, Refusal> {
        if bytes.len() > MAX_REQUEST {
            return Err(Refusal::Malformed("longer than 32 KiB"));
        }
        serde_json::from_slice(bytes).map_err(|error| match error.classify() {
            serde_json::error::Category::Data if error.to_string().starts_with(UNKNOWN_SCHEME) => {
                Refusal::Scheme
            }
            serde_json::error::Category::Data => {
                Refusal::Malformed("a field is missing, unknown, double, or of another form")
            }
            _ => Refusal::Malformed("not JSON"),
        })
    }
}

/// Name of requests in EIP-712: a signature for one network, or one chain, means nothing to another.
pub(crate) struct Domain {
    pub genesis: [u8; 32],
    pub chain_id: u64,
}

impl Domain {
    pub(crate) fn of(network: &Network) -> Self {
        Self {
            genesis: network.genesis,
            chain_id: network.chain_id,
        }
    }

    pub fn digest(&self, message: &[u8; 32]) -> [u8; 32] {
        let members = [
            text(DOMAIN_NAME),
            text(DOMAIN_VERSION),
            number(self.chain_id),
            self.genesis,
        ];
        keccak(&[b"\x19\x01", &hash_struct(DOMAIN_TYPE, &members), message])
    }
}

/// A request whose documents were checked, with what follows from them.
pub struct Reading<'a> {
    /// The request.
    pub request: &'a Request,
    /// Its key.
    pub path: KeyPath,
    /// The EIP-712 digest: what is signed, and the request's name.
    pub digest: [u8; 32],
    /// What is to be signed, if anything.
    pub payload: Option<Understood<'a>>,
}

impl Request {
    /// Checks the documents and hashes them.
    ///
    /// # Errors
    /// [`Refusal::Malformed`], [`Refusal::PayloadUnsupported`].
    pub fn read(&self) -> Result<Reading<'_>, Refusal> {
        self.key.check()?;
        let domain = Domain {
            genesis: self.network.0,
            chain_id: self.chain_id,
        };
        let key_hash = self.key.hash();
        let path = KeyPath {
            key: KeyId(domain.digest(&key_hash)),
            scheme: self.key.scheme,
            dedicated: self.key.dedicated,
        };
        let [issued, expires] = [number(self.issued), number(self.expires)];
        let id = path.key.0;
        let scheme = text(path.scheme.name());
        let mut payload = None;
        let hash = match &self.action {
            Asked::Keygen {} => {
                let encoded = [
                    KEYGEN_TYPE,
                    CALL_RULE_TYPE,
                    KEY_TYPE,
                    POLICY_TYPE,
                    TYPED_RULE_TYPE,
                ]
                .concat();
                hash_struct(&encoded, &[id, key_hash, issued, expires, self.nonce.0])
            }
            Asked::Sign {
                payload: asked,
                policy_version,
            } => {
                let understood = payload.insert(asked.understand(path.scheme)?);
                let members = [
                    id,
                    scheme,
                    text(&understood.summary),
                    understood.message,
                    number(u64::from(*policy_version)),
                    issued,
                    expires,
                    self.nonce.0,
                ];
                hash_struct(SIGN_TYPE, &members)
            }
            Asked::Refresh {} => hash_struct(REFRESH_TYPE, &[id, scheme, issued, expires, self.nonce.0]),
            Asked::Policy { policy, history } => {
                if history.len() > MAX_HISTORY {
                    return Err(Refusal::Malformed("more than 8 earlier policies"));
                }
                history.iter().chain([policy]).try_for_each(Policy::check)?;
                let encoded = [POLICY_UPDATE_TYPE, CALL_RULE_TYPE, POLICY_TYPE, TYPED_RULE_TYPE].concat();
                hash_struct(&encoded, &[id, policy.digest(), issued, expires, self.nonce.0])
            }
        };
        Ok(Reading {
            request: self,
            path,
            digest: domain.digest(&hash),
            payload,
        })
    }
}

impl Reading<'_> {
    /// The text that stands for the request where a wallet can't sign typed data (EIP-191), one line for each field.
    pub fn text(&self) -> String {
        let request = self.request;
        let mut lines = vec![
            "Jeju MPC request, version 1".to_owned(),
            format!("action: {}", request.action.name()),
            format!("network: {}", request.network),
            format!("chain: {}", request.chain_id),
            format!("key: {}", HexBytes(self.path.key.0)),
            format!("scheme: {}", self.path.scheme.name()),
        ];
        match (&request.action, &self.payload) {
            (Asked::Sign { policy_version, .. }, Some(payload)) => lines.extend([
                format!("payload: {}", payload.summary),
                format!("message: {}", HexBytes(payload.message)),
                format!("policy version: {policy_version}"),
            ]),
            (Asked::Policy { policy, .. }, _) => lines.extend([
                format!("policy: {}", HexBytes(policy.digest())),
                format!("policy version: {}", policy.version),
            ]),
            _ => {}
        }
        lines.extend([
            format!("issued: {}", request.issued),
            format!("expires: {}", request.expires),
            format!("nonce: {}", request.nonce),
        ]);
        lines.join("\n")
    }

    /// What a wallet signs of [`Reading::text`].
    pub fn text_digest(&self) -> [u8; 32] {
        text_digest(&self.text())
    }

    /// The parameter of `eth_signTypedData_v4` whose digest is [`Reading::digest`].
    pub fn typed_data(&self) -> Value {
        let request = self.request;
        let mut message = json!({
            "keyId": HexBytes(self.path.key.0),
            "issued": request.issued,
            "expires": request.expires,
            "nonce": request.nonce,
        });
        let (primary, others): (_, &[&str]) = match (&request.action, &self.payload) {
            (Asked::Sign { policy_version, .. }, Some(payload)) => {
                message["scheme"] = json!(self.path.scheme.name());
                message["payload"] = json!(payload.summary);
                message["message"] = json!(HexBytes(payload.message));
                message["policyVersion"] = json!(policy_version);
                (SIGN_TYPE, &[])
            }
            (Asked::Policy { policy, .. }, _) => {
                message["policy"] = json!(policy);
                (
                    POLICY_UPDATE_TYPE,
                    &[CALL_RULE_TYPE, POLICY_TYPE, TYPED_RULE_TYPE],
                )
            }
            (Asked::Refresh {}, _) => {
                message["scheme"] = json!(self.path.scheme.name());
                (REFRESH_TYPE, &[])
            }
            _ => {
                message["key"] = json!(request.key);
                let others = &[CALL_RULE_TYPE, KEY_TYPE, POLICY_TYPE, TYPED_RULE_TYPE];
                (KEYGEN_TYPE, others)
            }
        };
        typed_data((request.chain_id, &request.network), primary, others, message)
    }
}

/// The parameter of `eth_signTypedData_v4` for a message in the domain of a network's requests.
pub(crate) fn typed_data(
    (chain_id, network): (u64, &HexBytes<32>),
    primary: &str,
    others: &[&str],
    message: Value,
) -> Value {
    let types: serde_json::Map<_, _> = [DOMAIN_TYPE, primary]
        .iter()
        .chain(others)
        .map(|encoded| declared(encoded))
        .collect();
    json!({
        "types": types,
        "primaryType": declared(primary).0,
        "domain": {
            "name": DOMAIN_NAME,
            "version": DOMAIN_VERSION,
            "chainId": chain_id,
            "salt": network,
        },
        "message": message,
    })
}

/// A type as `encodeType` writes it, as JSON declares it: so the two can't differ.
fn declared(encoded: &str) -> (String, Value) {
    let (name, members) = encoded.split_once('(').unwrap_or((encoded, ")"));
    let members = members
        .trim_end_matches(')')
        .split(',')
        .filter_map(|member| member.split_once(' '))
        .map(|(kind, name)| json!({"name": name, "type": kind}))
        .collect();
    (name.to_owned(), Value::Array(members))
}
