//! What the server offers, and how long it waits.

use std::borrow::Cow;
use std::time::Duration;

use russh::keys::{Algorithm, EcdsaCurve};
use russh::server::Config;
use russh::{Limits, MethodKind, MethodSet, Preferred, SshId, cipher, compression, kex, mac};

use super::HostKey;
use super::window::{FIRST_WINDOW, SPARE};

/// From the first byte until a user is known.
pub(super) const LOGIN_TIME: Duration = Duration::from_secs(20);
/// Keys and certificates that a connection may offer.
pub(super) const TRIES: u32 = 6;
/// Channels of a connection at a time.
pub(super) const CHANNELS: usize = 64;
/// Connections of a rental at a time.
pub(super) const RENTAL_CONNECTIONS: usize = 32;
/// Of which this many may have a certificate, so that nobody who was let in keeps the renter out.
pub(super) const GUEST_CONNECTIONS: usize = RENTAL_CONNECTIONS / 2;

/// Bytes under one key, and time: RFC 4253 §9.
const REKEY_BYTES: usize = 1 << 30;
const REKEY_TIME: Duration = Duration::from_secs(3600);
/// What all windows of a connection let a client send while it is asked to renew the keys, and as much again for packets' heads.
const REKEY_BACKLOG: u32 = 2 * (CHANNELS as u32 * FIRST_WINDOW + SPARE);
/// A client that says nothing is asked each time this passes, and is gone after [`KEEPALIVES`] without an answer.
const KEEPALIVE: Duration = Duration::from_secs(30);
const KEEPALIVES: usize = 3;
/// Every refused login takes this long, whatever it was refused for.
const REFUSAL_TIME: Duration = Duration::from_millis(100);
/// Largest packet of a channel, either way; what OpenSSH takes.
const PACKET: u32 = 32 * 1024;
/// Messages of all channels that wait to be encrypted.
const QUEUE: usize = 32;

const KEX: &[kex::Name] = &[
    kex::MLKEM768X25519_SHA256,
    kex::CURVE25519,
    kex::CURVE25519_PRE_RFC_8731,
    kex::EXTENSION_SUPPORT_AS_SERVER,
    // Against CVE-2023-48795 (Terrapin).
    kex::EXTENSION_OPENSSH_STRICT_KEX_AS_SERVER,
];

const CIPHERS: &[cipher::Name] = &[
    cipher::CHACHA20_POLY1305,
    cipher::AES_256_GCM,
    cipher::AES_128_GCM,
];

/// Named because the protocol wants a list; the ciphers authenticate by themselves.
const MACS: &[mac::Name] = &[mac::HMAC_SHA512_ETM, mac::HMAC_SHA256_ETM];

/// The host key's kind first, then those that users may have.
const KEYS: &[Algorithm] = &[
    Algorithm::Ed25519,
    Algorithm::SkEd25519,
    Algorithm::Ecdsa {
        curve: EcdsaCurve::NistP256,
    },
    Algorithm::Ecdsa {
        curve: EcdsaCurve::NistP384,
    },
    Algorithm::Ecdsa {
        curve: EcdsaCurve::NistP521,
    },
    Algorithm::SkEcdsaSha2NistP256,
];

/// Whether users may log in with keys of this kind.
pub(super) fn takes(algorithm: &Algorithm) -> bool {
    KEYS.contains(algorithm)
}

/// The server's settings.
pub(super) fn config(key: HostKey) -> Config {
    Config {
        server_id: SshId::Standard(Cow::Borrowed("SSH-2.0-jeju")),
        methods: MethodSet::from(&[MethodKind::PublicKey][..]),
        auth_rejection_time: REFUSAL_TIME,
        // The `none` by which clients ask for the methods tells them nothing.
        auth_rejection_time_initial: Some(Duration::ZERO),
        // Of which the first is that `none`.
        max_auth_attempts: TRIES as usize + 1,
        keys: vec![key.into_private()],
        limits: Limits::new(REKEY_BYTES, REKEY_BYTES, REKEY_TIME),
        window_size: FIRST_WINDOW,
        windows_by_reader: true,
        rekey_backlog: REKEY_BACKLOG,
        maximum_packet_size: PACKET,
        // Channels' messages reach the handler, nothing else.
        channel_buffer_size: 1,
        event_buffer_size: QUEUE,
        preferred: Preferred {
            kex: Cow::Borrowed(KEX),
            key: Cow::Borrowed(KEYS),
            host_key_certificates: Cow::Borrowed(&[]),
            cipher: Cow::Borrowed(CIPHERS),
            mac: Cow::Borrowed(MACS),
            compression: Cow::Borrowed(&[compression::NONE]),
        },
        // Idle sessions stay; the login's time and the keep-alives have limits of their own.
        inactivity_timeout: None,
        keepalive_interval: Some(KEEPALIVE),
        keepalive_max: KEEPALIVES,
        ..Config::default()
    }
}
