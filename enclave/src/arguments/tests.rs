use super::*;

fn parse(arguments: &[&str]) -> Result<Arguments, BadArgument> {
    Arguments::parse(arguments.iter().map(OsString::from))
}

#[cfg(feature = "sim")]
#[test]
fn process_mode() {
    let arguments = [
        "--platform",
        "simulated",
        "--transport",
        "unix:/d",
        "--model",
        "a",
        "--model",
        "b",
        "--agent",
        "c",
        "--state",
        "s",
    ];
    let Ok(Arguments::Process(process)) = parse(&arguments) else {
        panic!()
    };
    assert_eq!(process.transport, GuestTransport::Unix("/d".into()));
    assert_eq!(process.models, [PathBuf::from("a"), "b".into()]);
    assert_eq!(process.agent, Some("c".into()));
    assert_eq!(process.state, Some("s".into()));
}

#[test]
fn anything_else_is_refused() {
    for arguments in [
        &[][..],
        &["--help"],
        &["--platform", "tdx", "--transport", "unix:/d"],
        &["--platform", "simulated", "--transport", "vsock"],
        &["--platform", "simulated", "--transport", "unix:"],
        &["--platform", "simulated"],
        &[
            "--platform",
            "simulated",
            "--transport",
            "unix:/d",
            "--transport",
            "unix:/e",
        ],
        &["--platform", "simulated", "--transport", "unix:/d", "--more", "x"],
        &["--platform", "simulated", "--transport", "unix:/d", "--model"],
        &[
            "--role",
            "shell",
            "--handover",
            "3",
            "--control",
            "4",
            "--quotes",
            "5",
        ],
        &["--role", "front", "--handover", "3"],
        &["--role", "signer", "--handover", "0", "--control", "0"],
    ] {
        assert!(parse(arguments).is_err(), "{arguments:?}");
    }
}

#[test]
fn files_of_the_image_are_descriptors() {
    let boot = |arguments: &[&str]| parse_boot(arguments.iter().map(OsString::from));
    let file = || std::os::fd::IntoRawFd::into_raw_fd(std::fs::File::open("/dev/null").unwrap());
    let (first, second) = (format!("{}:a.gguf", file()), format!("{}:b:c.gguf", file()));
    let models = boot(&["--model", &first, "--model", &second]).unwrap();
    let names: Vec<_> = models.models.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["a.gguf", "b:c.gguf"]);
    assert!(models.agent.is_none());
    let none = boot(&[]).unwrap();
    assert!(none.models.is_empty() && none.agent.is_none());
    let third = format!("{}:d.gguf", file());
    let both = boot(&["--agent", &file().to_string(), "--model", &third]).unwrap();
    assert!(both.models.len() == 1 && both.agent.is_some());
    let open = file();
    for arguments in [
        &["--model"][..],
        &["--model", "900:a"],
        &["--model", "1:a"],
        &["--model", &format!("{open}")],
        &["--agent", "900"],
        &["--agent", &format!("{open}:a")],
        &["--model", &format!("{open}:a"), "--model", &format!("{open}:b")],
        &["--role", "front"],
        &["quiet"],
    ] {
        assert!(boot(arguments).is_err(), "{arguments:?}");
    }
}

#[test]
fn each_role_gets_its_own_descriptors() {
    let open = || {
        let file = std::fs::File::open("/dev/null").unwrap();
        std::os::fd::IntoRawFd::into_raw_fd(file).to_string()
    };
    let parse_role = |role: &str, names: &[&str]| {
        let mut arguments: Vec<OsString> = vec!["--role".into(), role.into()];
        for name in ["--handover", "--control"].iter().chain(names) {
            arguments.extend([OsString::from(name), open().into()]);
        }
        Arguments::parse(arguments)
    };
    let own = |arguments| match arguments {
        Ok(Arguments::Role(role)) => role.own,
        other => panic!("{other:?}"),
    };
    let quote = own(parse_role("quote", &["--quotes"]));
    assert!(matches!(quote, OwnDescriptors::Quote { .. }));
    for names in [&["--signer"][..], &["--signer", "--sealing"]] {
        let OwnDescriptors::Signer { sealing, .. } = own(parse_role("signer", names)) else {
            panic!()
        };
        assert_eq!(sealing.is_some(), names.len() == 2);
    }
    let rentals = own(parse_role("rentals", &["--rentals", "--agent"]));
    assert!(matches!(rentals, OwnDescriptors::Rentals { .. }));
    for (names, has_signer, has_rentals) in [
        (&["--quotes", "--model"][..], false, false),
        (&["--quotes", "--signer", "--model"], true, false),
        (&["--quotes", "--rentals", "--model"], false, true),
        (&["--quotes", "--rentals", "--signer", "--model"], true, true),
    ] {
        let OwnDescriptors::Front {
            signer,
            rentals,
            models,
            ..
        } = own(parse_role("front", names))
        else {
            panic!()
        };
        assert_eq!((signer.is_some(), rentals.is_some()), (has_signer, has_rentals));
        assert_eq!(models.len(), 1);
    }
    for (name, of_workers) in [("--workers-sealing", true), ("--payments-sealing", false)] {
        let OwnDescriptors::Front {
            workers_sealing,
            payments_sealing,
            ..
        } = own(parse_role("front", &["--quotes", name]))
        else {
            panic!()
        };
        assert_eq!(
            (workers_sealing.is_some(), payments_sealing.is_some()),
            (of_workers, !of_workers)
        );
    }
    for (role, names) in [
        ("quote", &["--quotes", "--signer"][..]),
        ("quote", &["--quotes", "--model"]),
        ("signer", &["--quotes"]),
        ("signer", &["--signer", "--quotes"]),
        ("signer", &["--signer", "--model"]),
        ("rentals", &["--rentals"]),
        ("rentals", &["--agent"]),
        ("rentals", &["--rentals", "--agent", "--quotes"]),
        ("front", &["--signer"]),
        ("front", &["--quotes", "--agent"]),
        ("front", &["--quotes", "--sealing"]),
    ] {
        assert!(parse_role(role, names).is_err(), "{role} {names:?}");
    }
}

#[test]
fn descriptors_must_be_open_distinct_and_not_the_standard_ones() {
    for numbers in [["900", "901", "902"], ["0", "1", "2"], ["-1", "x", ""]] {
        let [handover, control, quotes] = numbers;
        let arguments = [
            "--role",
            "quote",
            "--handover",
            handover,
            "--control",
            control,
            "--quotes",
            quotes,
        ];
        assert!(parse(&arguments).is_err(), "{numbers:?}");
    }
    let file = std::fs::File::open("/dev/null").unwrap();
    let number = std::os::fd::AsRawFd::as_raw_fd(&file).to_string();
    let arguments = [
        "--role",
        "quote",
        "--handover",
        &number,
        "--control",
        &number,
        "--quotes",
        &number,
    ];
    assert!(parse(&arguments).is_err());
}
