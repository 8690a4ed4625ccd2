use std::sync::Mutex;

use aws_nitro_enclaves_nsm_api::api::{ErrorCode, Request, Response};

use super::*;
use crate::device::Evidence;
use crate::tdx_guest::Registers;

const DIGEST: [u8; 32] = [0x5a; 32];

struct Snp(Vec<u8>);

impl Quoter for Snp {
    fn tee(&self) -> Tee {
        Tee::SevSnp
    }

    fn quote(&self, _: &[u8; 64]) -> Result<Evidence, QuoteError> {
        Ok(Evidence {
            tee: Tee::SevSnp,
            cpu: self.0.clone(),
            endorsements: vec![],
        })
    }
}

fn snp(host_data: [u8; 32]) -> Snp {
    let mut report = vec![0xee; 1184];
    report[0xC0..0xE0].copy_from_slice(&host_data);
    Snp(report)
}

#[test]
fn snp_compares_host_data() {
    assert_eq!(bind_snp(&snp(DIGEST), &DIGEST).unwrap(), LaunchBinding::Bound);
    assert_eq!(
        bind_snp(&snp([0; 32]), &DIGEST).unwrap(),
        LaunchBinding::NotSettable
    );
    let mut near = DIGEST;
    near[31] ^= 1;
    let error = bind_snp(&snp(near), &DIGEST).unwrap_err();
    assert!(
        matches!(&error, LaunchBindingError::Mismatch { register: "HOST_DATA", expected, found }
            if *expected == "5a".repeat(32) && found.ends_with("5a5b")),
        "{error:?}"
    );
    let short = bind_snp(&Snp(vec![0; 0xD0]), &DIGEST).unwrap_err();
    assert!(
        matches!(short, LaunchBindingError::Malformed(Tee::SevSnp)),
        "{short:?}"
    );
}

/// A TDX module whose RTMR3 extends as the real one's, or doesn't.
struct Module {
    registers: Mutex<Registers>,
    extends: bool,
}

impl MeasurementRegisters for Module {
    fn read(&self) -> Result<Registers, QuoteError> {
        Ok(*self.registers.lock().unwrap())
    }

    fn extend_rtmr3(&self, event: &[u8; 48]) -> Result<(), QuoteError> {
        let mut registers = self.registers.lock().unwrap();
        if self.extends {
            registers.rtmr3 = sha384(&[&registers.rtmr3, event]);
        }
        Ok(())
    }
}

fn module(mr_config_id: [u8; 48]) -> Module {
    Module {
        registers: Mutex::new(Registers {
            mr_config_id,
            rtmr3: [0; 48],
        }),
        extends: true,
    }
}

fn configured(digest: [u8; 32]) -> [u8; 48] {
    let mut register = [0; 48];
    register[..32].copy_from_slice(&digest);
    register
}

#[test]
fn tdx_compares_mrconfigid_and_extends_rtmr3_once() {
    let bound = module(configured(DIGEST));
    assert_eq!(bind_tdx(&bound, &DIGEST).unwrap(), LaunchBinding::Bound);
    // Python: sha384(bytes(48) + sha384(b'jeju-launch-v1\0' + b'\x5a' * 32).digest())
    assert_eq!(
        hex::encode(bound.read().unwrap().rtmr3),
        "5e5179f663e7df3fd414bc1dfa34a9e1c97dc0ac02c1b087bc395fe71787d634d4d235b08520b0e0f2d83a30021bfdc3"
    );
    let again = bind_tdx(&bound, &DIGEST).unwrap_err();
    assert!(
        matches!(
            again,
            LaunchBindingError::NotFresh {
                register: "RTMR3",
                ..
            }
        ),
        "{again:?}"
    );

    let unset = module([0; 48]);
    assert_eq!(bind_tdx(&unset, &DIGEST).unwrap(), LaunchBinding::NotSettable);
    assert_ne!(unset.read().unwrap().rtmr3, [0; 48], "RTMR3 is extended here too");
}

#[test]
fn tdx_refuses_another_document_before_touching_rtmr3() {
    let mut tail = configured(DIGEST);
    tail[47] = 1;
    for mr_config_id in [configured([0x5b; 32]), tail, [0x5a; 48]] {
        let module = module(mr_config_id);
        let error = bind_tdx(&module, &DIGEST).unwrap_err();
        assert!(
            matches!(
                error,
                LaunchBindingError::Mismatch {
                    register: "MRCONFIGID",
                    ..
                }
            ),
            "{error:?}"
        );
        assert_eq!(module.read().unwrap().rtmr3, [0; 48]);
    }
}

#[test]
fn tdx_refuses_an_extension_without_effect() {
    let module = Module {
        extends: false,
        ..module(configured(DIGEST))
    };
    let error = bind_tdx(&module, &DIGEST).unwrap_err();
    assert!(
        matches!(
            error,
            LaunchBindingError::NotExtended {
                register: "RTMR3",
                ..
            }
        ),
        "{error:?}"
    );
}

/// PCR16 of an NSM, and whether extending and locking work.
fn nsm(value: [u8; 48], locked: bool, extends: bool, locks: bool) -> Nsm {
    let pcr = Mutex::new((value, locked));
    Nsm::over(move |request| {
        let mut pcr = pcr.lock().unwrap();
        match request {
            Request::DescribePCR { index: 16 } => Response::DescribePCR {
                lock: pcr.1,
                data: pcr.0.to_vec(),
            },
            Request::ExtendPCR { index: 16, .. } if pcr.1 => Response::Error(ErrorCode::ReadOnlyIndex),
            Request::ExtendPCR { index: 16, data } => {
                if extends {
                    pcr.0 = sha384(&[&pcr.0, &data]);
                }
                Response::ExtendPCR { data: pcr.0.to_vec() }
            }
            Request::LockPCR { index: 16 } => {
                pcr.1 |= locks;
                Response::LockPCR
            }
            _ => Response::Error(ErrorCode::InvalidArgument),
        }
    })
}

#[test]
fn nitro_extends_pcr16_and_locks_it() {
    let module = nsm([0; 48], false, true, true);
    assert_eq!(bind_nitro(&module, &DIGEST).unwrap(), LaunchBinding::Bound);
    let pcr = module.describe_pcr(16).unwrap();
    assert!(pcr.locked);
    // Python: sha384(bytes(48) + b'\x5a' * 32)
    assert_eq!(
        hex::encode(pcr.value),
        "ed82c108a3c5d4bebe73270294cebc3618c4cbf2d2ed37e834f572a82e826ebfbe8d21990eb67d2d4b5bd56727f669f1"
    );
    let again = bind_nitro(&module, &DIGEST).unwrap_err();
    assert!(
        matches!(&again, LaunchBindingError::NotFresh { found, .. } if found.ends_with(", locked")),
        "{again:?}"
    );
}

#[test]
fn nitro_refuses_a_register_in_any_other_state() {
    let error =
        |value, locked, extends, locks| bind_nitro(&nsm(value, locked, extends, locks), &DIGEST).unwrap_err();
    assert!(matches!(
        error([1; 48], false, true, true),
        LaunchBindingError::NotFresh { .. }
    ));
    assert!(matches!(
        error([0; 48], true, true, true),
        LaunchBindingError::NotFresh { .. }
    ));
    assert!(matches!(
        error([0; 48], false, false, true),
        LaunchBindingError::NotExtended { .. }
    ));
    assert!(matches!(
        error([0; 48], false, true, false),
        LaunchBindingError::Device(QuoteError::NsmAnswer("LockPCR"))
    ));
}
