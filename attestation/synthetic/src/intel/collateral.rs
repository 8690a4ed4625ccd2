//! What the provisioning service hands out: PCK extensions, TCB info, QE identity, revocation lists.

use serde_json::{Value, json};

use super::{Keys, PLATFORM_CA, ROOT, SIGNER};
use crate::certificate::Template;
use crate::crl::CrlTemplate;
use crate::{DAY, NOW, der};

/// Dotted form of the SGX extension, and of what is below it.
pub fn sgx_extension_oid(below: &[u32]) -> String {
    let mut oid = "1.2.840.113741.1.13.1".to_owned();
    for arc in below {
        oid.push_str(&format!(".{arc}"));
    }
    oid
}

/// Content of the SGX extension of a PCK certificate.
#[derive(Debug, Clone)]
pub struct PckExtension {
    /// PPID.
    pub ppid: [u8; 16],
    /// SVN of each TCB component.
    pub components: [u8; 16],
    /// PCESVN.
    pub pce_svn: u16,
    /// CPUSVN.
    pub cpu_svn: [u8; 16],
    /// PCEID.
    pub pce_id: [u8; 2],
    /// FMSPC.
    pub fmspc: [u8; 6],
    /// SGX type.
    pub sgx_type: u8,
    /// Platform instance id.
    pub platform_instance_id: Option<[u8; 16]>,
    /// dynamicPlatform, cachedKeys, SMTEnabled.
    pub configuration: Option<[bool; 3]>,
}

impl PckExtension {
    /// Of a registered platform at the first level of the TCB info.
    pub fn right() -> Self {
        Self {
            ppid: [0x99; 16],
            components: [5; 16],
            pce_svn: 11,
            cpu_svn: [5; 16],
            pce_id: [0, 0],
            fmspc: [0x10, 0x20, 0x30, 0x40, 0x50, 0x60],
            sgx_type: 1,
            platform_instance_id: Some([0x1D; 16]),
            configuration: Some([true, true, true]),
        }
    }

    /// Its items, one DER SEQUENCE each, in order.
    pub fn items(&self) -> Vec<Vec<u8>> {
        let mut tcb: Vec<Vec<u8>> = (1..)
            .zip(self.components)
            .map(|(number, svn)| pair(&[2, number], &der::number(svn.into())))
            .collect();
        tcb.push(pair(&[2, 17], &der::number(self.pce_svn.into())));
        tcb.push(pair(&[2, 18], &der::octets(&self.cpu_svn)));
        let mut items = vec![
            pair(&[1], &der::octets(&self.ppid)),
            pair(&[2], &der::tlv(0x30, &tcb.concat())),
            pair(&[3], &der::octets(&self.pce_id)),
            pair(&[4], &der::octets(&self.fmspc)),
            pair(&[5], &der::enumerated(self.sgx_type)),
        ];
        if let Some(id) = self.platform_instance_id {
            items.push(pair(&[6], &der::octets(&id)));
        }
        if let Some(flags) = self.configuration {
            let flags: Vec<Vec<u8>> = (1..)
                .zip(flags)
                .map(|(number, on)| pair(&[7, number], &der::boolean(on)))
                .collect();
            items.push(pair(&[7], &der::tlv(0x30, &flags.concat())));
        }
        items
    }

    /// The content of the extension.
    pub fn to_der(&self) -> Vec<u8> {
        der::tlv(0x30, &self.items().concat())
    }
}

fn pair(below: &[u32], item: &[u8]) -> Vec<u8> {
    der::sequence(&[&der::oid(&sgx_extension_oid(below)), item])
}

/// Collateral of one platform.
#[derive(Debug, Clone)]
pub struct Collateral {
    /// The root's list.
    pub root_crl: CrlTemplate,
    /// The PCK authority's list.
    pub pck_crl: CrlTemplate,
    /// The certificate that signs what follows.
    pub signer: Template,
    /// TCB info.
    pub tcb_info: Value,
    /// QE identity.
    pub qe_identity: Value,
}

impl Collateral {
    /// For trust domains.
    pub fn tdx(keys: &Keys) -> Self {
        let mut tcb_info = tcb_info("TDX");
        tcb_info["tdxModule"] = module();
        let mut identity = module();
        identity["id"] = json!("TDX_01");
        identity["tcbLevels"] = svn_levels(&[
            (7, "UpToDate", &[]),
            (4, "OutOfDate", &["INTEL-SA-90001"]),
            (2, "Revoked", &[]),
        ]);
        tcb_info["tdxModuleIdentities"] = json!([identity]);
        for (index, svns) in [[5, 0, 6], [3, 0, 4], [1, 0, 2]].iter().enumerate() {
            let mut components = [0; 16];
            components[..3].copy_from_slice(svns);
            tcb_info["tcbLevels"][index]["tcb"]["tdxtcbcomponents"] = self::components(&components);
        }
        Self::new(keys, tcb_info, qe_identity("TD_QE", 2, 0xDC))
    }

    /// For enclaves.
    pub fn sgx(keys: &Keys) -> Self {
        Self::new(keys, tcb_info("SGX"), qe_identity("QE", 1, 0x8C))
    }

    fn new(keys: &Keys, tcb_info: Value, qe_identity: Value) -> Self {
        let mut signer = Template::end_entity(SIGNER, ROOT, &keys.signer);
        signer.serial = vec![0x33, 0x33];
        Self {
            root_crl: CrlTemplate::new(ROOT),
            pck_crl: CrlTemplate::new(PLATFORM_CA),
            signer,
            tcb_info,
            qe_identity,
        }
    }

    /// The documents, one file each: root's list, PCK authority's list, signer's certificate, TCB info, QE identity.
    pub fn files(&self, signing: &Keys) -> [Vec<u8>; 5] {
        [
            self.root_crl.sign(&signing.root),
            self.pck_crl.sign(&signing.ca),
            self.signer.sign(&signing.root),
            answer("tcbInfo", &self.tcb_info, signing),
            answer("enclaveIdentity", &self.qe_identity, signing),
        ]
    }
}

/// A signed answer of the provisioning service.
pub(super) fn answer(name: &str, document: &Value, signing: &Keys) -> Vec<u8> {
    let body = document.to_string();
    let signature = hex::encode(signing.signer.sign_fixed(body.as_bytes()));
    format!(r#"{{"{name}":{body},"signature":"{signature}"}}"#).into_bytes()
}

fn dates(days: i64) -> String {
    der::rfc3339(NOW as i64 + days * DAY)
}

fn components(svns: &[u8; 16]) -> Value {
    svns.iter().map(|svn| json!({ "svn": svn })).collect()
}

/// Three levels: current, old with an advisory, revoked.
fn tcb_info(id: &str) -> Value {
    let level = |svn: u8, pcesvn: u16, status: &str, advisories: &[&str]| {
        json!({
            "tcb": { "sgxtcbcomponents": components(&[svn; 16]), "pcesvn": pcesvn },
            "tcbDate": dates(-100),
            "tcbStatus": status,
            "advisoryIDs": advisories,
        })
    };
    json!({
        "id": id,
        "version": 3,
        "issueDate": dates(-10),
        "nextUpdate": dates(10),
        "fmspc": "102030405060",
        "pceId": "0000",
        "tcbType": 0,
        "tcbEvaluationDataNumber": 20,
        "tcbLevels": [
            level(5, 11, "UpToDate", &[]),
            level(3, 10, "OutOfDate", &["INTEL-SA-90002"]),
            level(1, 5, "Revoked", &[]),
        ],
    })
}

fn module() -> Value {
    json!({
        "mrsigner": "00".repeat(48),
        "attributes": "00".repeat(8),
        "attributesMask": "FF".repeat(8),
    })
}

fn svn_levels(levels: &[(u16, &str, &[&str])]) -> Value {
    let level = |(svn, status, advisories): &(u16, &str, &[&str])| {
        json!({
            "tcb": { "isvsvn": svn },
            "tcbDate": dates(-100),
            "tcbStatus": status,
            "advisoryIDs": advisories,
        })
    };
    levels.iter().map(level).collect()
}

fn qe_identity(id: &str, isv_prod_id: u16, mr_signer: u8) -> Value {
    json!({
        "id": id,
        "version": 2,
        "issueDate": dates(-9),
        "nextUpdate": dates(11),
        "tcbEvaluationDataNumber": 21,
        "miscselect": "00000000",
        "miscselectMask": "FFFFFFFF",
        "attributes": "11000000000000000000000000000000",
        "attributesMask": "FBFFFFFFFFFFFFFF0000000000000000",
        "mrsigner": hex::encode([mr_signer; 32]),
        "isvprodid": isv_prod_id,
        "tcbLevels": svn_levels(&[
            (6, "UpToDate", &[]),
            (4, "OutOfDate", &["INTEL-SA-90003"]),
            (2, "Revoked", &[]),
        ]),
    })
}
