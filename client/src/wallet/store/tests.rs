use std::os::unix::fs::{PermissionsExt, symlink};

use jeju_wallet_auth::signature::AccountKey;

use super::super::Password;
use super::*;

fn keystore(byte: u8) -> Keystore {
    let key = AccountKey::from_bytes(&[byte; 32]).unwrap();
    Keystore::encrypt(&key, &Password::new(b"password")).unwrap()
}

fn store(folder: &Path) -> Store {
    Store {
        folder: folder.join("wallets"),
    }
}

fn mode(path: &Path) -> u32 {
    path.metadata().unwrap().mode() & 0o7777
}

#[test]
fn names_are_not_paths() {
    let store = Store {
        folder: "/wallets".into(),
    };
    let path = |text: &str| store.path(Path::new(text));
    for name in [
        "a",
        "A-1_b.json",
        "UTC--2016-08-11T15-02-38.123Z--008aeeda4d805471df9b2a5b0f38a0c3bcba786b",
    ] {
        assert_eq!(path(name).unwrap(), Path::new("/wallets").join(name));
    }
    for file in ["./a", "/x/y", "x/../y"] {
        assert_eq!(path(file).unwrap(), Path::new(file));
    }
    let long = "a".repeat(129);
    for wrong in [
        "",
        ".",
        "..",
        "/",
        "./..",
        ".hidden",
        "-flag",
        "a b",
        "a\n",
        "ä",
        long.as_str(),
    ] {
        assert_eq!(
            path(wrong).unwrap_err().code(),
            "wallet_name_invalid",
            "{wrong:?}"
        );
    }
}

#[test]
fn wallets_are_their_owners_and_never_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    assert!(store.list().unwrap().is_empty(), "a folder that isn't there");
    let path = store.path(Path::new("a")).unwrap();
    let first = keystore(1);
    store.create(&path, &first).unwrap();
    assert_eq!((mode(&store.folder), mode(&path)), (0o700, 0o600));
    let opened = read(&path).unwrap();
    assert_eq!((&opened.keystore, opened.exposed), (&first, None));

    assert_eq!(
        store.create(&path, &keystore(2)).unwrap_err().code(),
        "wallet_exists"
    );
    assert_eq!(read(&path).unwrap().keystore, first);
    // Nor through a link that points nowhere yet.
    let link = store.path(Path::new("link")).unwrap();
    symlink(folder.path().join("elsewhere"), &link).unwrap();
    assert_eq!(store.create(&link, &first).unwrap_err().code(), "wallet_exists");
    assert!(!folder.path().join("elsewhere").exists());

    let second = keystore(2);
    replace(&path, &second).unwrap();
    assert_eq!(read(&path).unwrap().keystore, second);
    assert_eq!(mode(&path), 0o600);
    let names: Vec<_> = fs::read_dir(&store.folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(names.len(), 2, "nothing unfinished is left: {names:?}");

    let nowhere = folder.path().join("none/a");
    assert_eq!(
        store.create(&nowhere, &first).unwrap_err().code(),
        "file_unwritable"
    );
    assert_eq!(replace(&nowhere, &first).unwrap_err().code(), "file_unwritable");
}

#[test]
fn one_of_many_writers_wins() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    let path = store.path(Path::new("a")).unwrap();
    let wallets: Vec<_> = (1..=4).map(keystore).collect();
    let (store, path) = (&store, &path);
    let outcomes: Vec<_> = std::thread::scope(|scope| {
        let writers: Vec<_> = wallets
            .iter()
            .map(|wallet| scope.spawn(move || store.create(path, wallet)))
            .collect();
        writers.into_iter().map(|writer| writer.join().unwrap()).collect()
    });
    let won: Vec<_> = (0..4).filter(|at| outcomes[*at].is_ok()).collect();
    assert_eq!(won.len(), 1);
    assert_eq!(read(path).unwrap().keystore, wallets[won[0]]);
    for error in outcomes.into_iter().filter_map(Result::err) {
        assert_eq!(error.code(), "wallet_exists");
    }
}

#[test]
fn what_is_no_file_is_not_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let code = |name: &str| read(&path(name)).unwrap_err().code();
    fs::write(path("wallet"), keystore(1).to_string()).unwrap();
    symlink(path("wallet"), path("link")).unwrap();
    assert_eq!(code("link"), "wallet_not_a_file");
    fs::create_dir(path("folder")).unwrap();
    assert_eq!(code("folder"), "wallet_not_a_file");
    let made = std::process::Command::new("mkfifo")
        .arg(path("pipe"))
        .status()
        .unwrap();
    assert!(made.success());
    assert_eq!(code("pipe"), "wallet_not_a_file");
    assert_eq!(code("none"), "wallet_missing");
    fs::write(path("long"), vec![b' '; MAX_LEN + 1]).unwrap();
    assert_eq!(code("long"), "wallet_malformed");
    assert_eq!(code("wallet/x"), "file_unreadable");
}

#[test]
fn others_rights_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("wallet");
    fs::write(&path, keystore(1).to_string()).unwrap();
    for (mode, exposed) in [
        (0o600, None),
        (0o400, None),
        (0o640, Some(0o640)),
        (0o602, Some(0o602)),
        (0o644, Some(0o644)),
    ] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        assert_eq!(read(&path).unwrap().exposed, exposed);
    }
}

#[test]
fn a_list_hides_no_wallet_that_does_not_open() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    for (name, byte) in [("b", 2), ("a", 1)] {
        let path = store.path(Path::new(name)).unwrap();
        store.create(&path, &keystore(byte)).unwrap();
    }
    fs::write(store.folder.join("c"), "{}").unwrap();
    fs::write(store.folder.join(".hidden"), "{}").unwrap();
    fs::write(store.folder.join("\x1b[2J"), "{}").unwrap();
    let list = store.list().unwrap();
    let shown: Vec<_> = list
        .iter()
        .map(|Entry { name, opened }| {
            (
                name.as_str(),
                opened.as_ref().map_or_else(WalletError::code, |_| "ok"),
            )
        })
        .collect();
    let expected = [
        ("\\u{1b}[2J", "wallet_name_invalid"),
        ("a", "ok"),
        ("b", "ok"),
        ("c", "wallet_malformed"),
    ];
    assert_eq!(shown, expected);
}
