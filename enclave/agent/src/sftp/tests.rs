//! What a client that isn't OpenSSH's could send.

use std::os::unix::fs::FileTypeExt;

use super::handles::MAX_HANDLES;
use super::packet::{MAX_DATA, MAX_PACKET};
use super::*;

const BAD_MESSAGE: u32 = 5;
const FAILURE: u32 = 4;
const UNSUPPORTED: u32 = 8;
const NO_SUCH_FILE: u32 = 2;
const DENIED: u32 = 3;

fn string(bytes: &[u8]) -> Vec<u8> {
    [&(bytes.len() as u32).to_be_bytes()[..], bytes].concat()
}

/// A greeted session.
fn session() -> Session {
    let mut session = Session::default();
    let mut output = Vec::new();
    assert!(session.answer(&[1, 0, 0, 0, 3], &mut output).is_ok());
    session
}

/// The kind of the answer to a request, and what follows its identifier.
fn ask(session: &mut Session, kind: u8, fields: &[u8]) -> (u8, Vec<u8>) {
    let mut output = Vec::new();
    let request = [&[kind, 0, 0, 0, 7][..], fields].concat();
    assert!(session.answer(&request, &mut output).is_ok());
    assert_eq!(
        u32::from_be_bytes(output[..4].try_into().unwrap()) as usize,
        output.len() - 4
    );
    assert_eq!(output[5..9], [0, 0, 0, 7]);
    (output[4], output[9..].to_vec())
}

/// The code of a status.
fn code(session: &mut Session, kind: u8, fields: &[u8]) -> u32 {
    let (kind, rest) = ask(session, kind, fields);
    assert_eq!(kind, 101);
    u32::from_be_bytes(rest[..4].try_into().unwrap())
}

fn open(session: &mut Session, path: &[u8], flags: u8) -> Result<Vec<u8>, u32> {
    let fields = [&string(path)[..], &[0, 0, 0, flags], &[0; 4]].concat();
    match ask(session, packet::OPEN, &fields) {
        (102, rest) => Ok(rest),
        (_, rest) => Err(u32::from_be_bytes(rest[..4].try_into().unwrap())),
    }
}

#[test]
fn a_stream_that_is_no_sftp_ends_the_session() {
    for packet in [&[][..], &[3, 0, 0, 0, 1], &[1, 0, 0], &[2, 0, 0, 0, 3]] {
        assert!(Session::default().answer(packet, &mut Vec::new()).is_err());
    }
    for packet in [&[][..], &[17, 0, 0]] {
        assert!(session().answer(packet, &mut Vec::new()).is_err());
    }
    for header in [[0; 4], [0, 4, 0, 1], [255; 4]] {
        assert!(take_packet(&mut BytesMut::from(&header[..])).is_err());
    }
    let longest = [&(MAX_PACKET as u32).to_be_bytes()[..], &vec![7; MAX_PACKET]].concat();
    assert_eq!(
        take_packet(&mut BytesMut::from(&longest[..]))
            .ok()
            .flatten()
            .unwrap()
            .len(),
        MAX_PACKET
    );
    assert!(
        take_packet(&mut BytesMut::from(&longest[..99]))
            .ok()
            .flatten()
            .is_none()
    );
}

#[test]
fn a_request_that_is_cut_off_or_unknown_is_refused() {
    let mut session = session();
    for kind in [3, 7, 9, 11, 13, 14, 15, 16, 17, 18, 19, 20, 200] {
        assert_eq!(
            code(&mut session, kind, &[0, 0, 0, 9, b'x']),
            BAD_MESSAGE,
            "{kind}"
        );
        assert_eq!(code(&mut session, kind, &[0, 0]), BAD_MESSAGE, "{kind}");
    }
    for kind in [0, 1, 2, 21, 101, 201, 255] {
        assert_eq!(code(&mut session, kind, &[]), UNSUPPORTED, "{kind}");
    }
    assert_eq!(code(&mut session, 200, &string(b"copy-data")), UNSUPPORTED);
    // More extended attributes than anybody has.
    let fields = [&string(b"x")[..], &[0x80, 0, 0, 0, 255, 255, 255, 255]].concat();
    assert_eq!(code(&mut session, packet::SETSTAT, &fields), BAD_MESSAGE);
}

#[test]
fn a_handle_that_is_not_open_is_refused() {
    let mut session = session();
    for handle in [&b""[..], b"\0\0\0\x01", b"\0\0\0\0\0\0\0\x01", b"x"] {
        let fields = [&string(handle)[..], &[0; 16]].concat();
        for kind in [
            packet::CLOSE,
            packet::READ,
            packet::WRITE,
            packet::FSTAT,
            packet::FSETSTAT,
            packet::READDIR,
        ] {
            assert_eq!(code(&mut session, kind, &fields), FAILURE);
        }
        for name in ["fsync@openssh.com", "fstatvfs@openssh.com"] {
            let fields = [string(name.as_bytes()), string(handle)].concat();
            assert_eq!(code(&mut session, 200, &fields), FAILURE);
        }
    }
    // One kind of handle isn't the other.
    let file = open(&mut session, b"/proc/self/status", 1).unwrap();
    assert_eq!(code(&mut session, packet::READDIR, &file), FAILURE);
    let (kind, directory) = ask(&mut session, packet::OPENDIR, &string(b"/"));
    assert_eq!(kind, 102);
    assert_eq!(
        code(&mut session, packet::READ, &[&directory[..], &[0; 12]].concat()),
        FAILURE
    );
    assert_eq!(code(&mut session, packet::CLOSE, &file), 0);
    assert_eq!(code(&mut session, packet::CLOSE, &file), FAILURE);
}

#[test]
fn handles_and_answers_are_bounded() {
    let mut session = session();
    let mut handles = Vec::new();
    for _ in 0..MAX_HANDLES {
        handles.push(open(&mut session, b"/dev/zero", 1).unwrap());
    }
    assert_eq!(open(&mut session, b"/dev/zero", 1), Err(FAILURE));
    assert_eq!(code(&mut session, packet::OPENDIR, &string(b"/")), FAILURE);
    let all = [&handles[0][..], &[0; 8], &[255; 4]].concat();
    let (kind, data) = ask(&mut session, packet::READ, &all);
    assert_eq!((kind, data.len()), (103, 4 + MAX_DATA));
    assert_eq!(code(&mut session, packet::CLOSE, &handles[0]), 0);
    assert!(open(&mut session, b"/dev/zero", 1).is_ok());
}

#[test]
fn what_the_system_refuses_is_told_by_its_kind() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().as_bytes().to_vec();
    std::fs::write(folder.path().join("f"), "x").unwrap();
    let mut session = session();
    assert_eq!(open(&mut session, &path("none"), 1), Err(NO_SUCH_FILE));
    assert_eq!(open(&mut session, b"a\0b", 1), Err(FAILURE));
    assert_eq!(open(&mut session, &path("f"), 0), Err(FAILURE));
    // Create, exclusively, what is there.
    assert_eq!(open(&mut session, &path("f"), 2 | 8 | 32), Err(FAILURE));
    assert_eq!(
        code(&mut session, packet::OPENDIR, &string(&path("f"))),
        NO_SUCH_FILE
    );
    assert_eq!(code(&mut session, packet::READLINK, &string(&path("f"))), FAILURE);
    assert_eq!(
        code(&mut session, packet::REALPATH, &string(&path("none/none"))),
        NO_SUCH_FILE
    );
    let read_only = open(&mut session, &path("f"), 1).unwrap();
    let fields = [&read_only[..], &[0; 8], &string(b"y")].concat();
    assert_eq!(code(&mut session, packet::WRITE, &fields), NO_SUCH_FILE);
    assert_eq!(std::fs::read(folder.path().join("f")).unwrap(), b"x");
    // Version 3's rename replaces nothing.
    std::fs::write(folder.path().join("g"), "y").unwrap();
    let both = [string(&path("f")), string(&path("g"))].concat();
    assert_eq!(code(&mut session, packet::RENAME, &both), FAILURE);
    assert_eq!(std::fs::read(folder.path().join("g")).unwrap(), b"y");
    assert_eq!(
        code(
            &mut session,
            200,
            &[string(b"posix-rename@openssh.com"), both].concat()
        ),
        0
    );
    // The size of a link can't be set, and nobody else's home is known.
    let sized = [
        string(b"lsetstat@openssh.com"),
        string(&path("g")),
        vec![0, 0, 0, 1],
        vec![0; 8],
    ]
    .concat();
    assert_eq!(code(&mut session, 200, &sized), UNSUPPORTED);
    let other = [string(b"expand-path@openssh.com"), string(b"~ann/x")].concat();
    assert_eq!(code(&mut session, 200, &other), FAILURE);
    let denied = std::io::Error::from_raw_os_error(libc::EACCES);
    let mut output = Vec::new();
    answer_to(0, Err(denied.into()), &mut output);
    assert_eq!(output[9..13], DENIED.to_be_bytes());
}

#[test]
fn a_pipe_without_another_end_holds_nothing_up() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("p");
    let made = std::process::Command::new("mkfifo").arg(&path).status().unwrap();
    assert!(made.success() && std::fs::metadata(&path).unwrap().file_type().is_fifo());
    let mut session = session();
    let path = path.to_str().unwrap().as_bytes();
    assert_eq!(open(&mut session, path, 2), Err(FAILURE));
    let handle = open(&mut session, path, 1).unwrap();
    assert_eq!(
        code(
            &mut session,
            packet::READ,
            &[&handle[..], &[0; 8], &[0, 0, 0, 9]].concat()
        ),
        FAILURE
    );
}

#[test]
fn what_is_appended_goes_to_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("f");
    std::fs::write(&path, "one").unwrap();
    let mut session = session();
    let handle = open(&mut session, path.to_str().unwrap().as_bytes(), 2 | 4).unwrap();
    let fields = [&handle[..], &[0; 8], &string(b"two")].concat();
    assert_eq!(code(&mut session, packet::WRITE, &fields), 0);
    assert_eq!(std::fs::read(&path).unwrap(), b"onetwo");
}
