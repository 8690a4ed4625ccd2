//! Both ends as they are, over a pipe in memory.

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
use tokio::sync::mpsc;

use crate::{
    Agent, Channel, Control, Event, Exit, MAX_CHANNELS, Open, OpenCode, OpenError, Output, Pty, Request,
    Served, Signal, Size, serve,
};

/// An agent whose other end answers requests by `answer`, each in a task of its own.
fn agent<F, T>(answer: F) -> Agent
where
    F: Fn(Request) -> T + Send + 'static,
    T: Future<Output = ()> + Send + 'static,
{
    let (ours, theirs) = duplex(64 * 1024);
    let (agent, driver) = Agent::connect(ours);
    tokio::spawn(driver);
    let (mut requests, driver) = serve(theirs);
    tokio::spawn(driver);
    tokio::spawn(async move {
        while let Some(request) = requests.next().await {
            tokio::spawn(answer(request));
        }
    });
    agent
}

fn exec(command: &str) -> Open {
    Open::Exec {
        command: command.to_owned(),
        pty: None,
        env: Vec::new(),
    }
}

async fn echo(request: Request) {
    let Served { mut stdin, reply, .. } = request.accept();
    while let Some(data) = stdin.next().await {
        if reply.stdout(data).await.is_err() {
            return;
        }
    }
    reply.eof();
    reply.exit(Exit::Code(7));
}

/// Says more than any window has room for, then that it is done.
async fn flood(request: Request) {
    let Served { reply, .. } = request.accept();
    for _ in 0..64 {
        if reply.stdout(Bytes::from(vec![1; 1 << 20])).await.is_err() {
            return;
        }
    }
}

async fn collect(mut output: Output) -> (usize, Vec<Event>) {
    let (mut bytes, mut rest) = (0, Vec::new());
    while let Some(event) = output.next().await {
        match event {
            Event::Stdout(data) => bytes += data.len(),
            other => rest.push(other),
        }
    }
    (bytes, rest)
}

async fn code(opened: Result<Channel, OpenError>) -> OpenCode {
    opened.err().expect("it is refused").code
}

#[tokio::test]
async fn a_channel_carries_data_both_ways_and_the_exit() {
    let agent = agent(echo);
    let (mut input, output) = agent.open(exec("x")).await.unwrap().split();
    let reading = tokio::spawn(collect(output));
    for _ in 0..100 {
        input.write(Bytes::from(vec![7; 100_000])).await.unwrap();
    }
    input.eof().await.unwrap();
    let (bytes, rest) = reading.await.unwrap();
    assert_eq!(bytes, 10_000_000);
    assert_eq!(rest, [Event::Eof, Event::Exit(Exit::Code(7))]);
}

#[tokio::test]
async fn a_refusal_reaches_the_opener_and_frees_the_channel() {
    let agent = agent(|request| async { request.refuse(OpenError::new(OpenCode::NoShell, "no\nshell")) });
    for _ in 0..3 * MAX_CHANNELS {
        let error = agent.open(Open::Sftp).await.err().unwrap();
        assert_eq!(error, OpenError::new(OpenCode::NoShell, "no shell"));
    }
}

#[tokio::test]
async fn a_request_that_nobody_answers_is_refused() {
    let agent = agent(|request| async { drop(request) });
    assert_eq!(code(agent.open(Open::Sftp).await).await, OpenCode::Failed);
}

#[tokio::test]
async fn what_cannot_be_carried_is_refused_at_once() {
    let agent = agent(echo);
    let env = |name: &str, value: &str| Open::Shell {
        pty: None,
        env: vec![(name.to_owned(), value.to_owned())],
    };
    for request in [
        exec("a\0b"),
        exec(&"x".repeat(32 * 1024)),
        exec(&"x".repeat(70_000)),
        env("", "x"),
        env("A=B", "x"),
        env("A", "\0"),
        Open::Shell {
            pty: None,
            env: vec![("A".to_owned(), String::new()); 257],
        },
        Open::Dial {
            host: String::new(),
            port: 1,
        },
        Open::Dial {
            host: "x".to_owned(),
            port: 0,
        },
    ] {
        assert_eq!(code(agent.open(request).await).await, OpenCode::InvalidRequest);
    }
    // The connection lives on.
    assert!(agent.open(exec("x")).await.is_ok());
}

#[tokio::test]
async fn there_are_as_many_channels_as_are_allowed_and_a_closed_one_makes_room() {
    let agent = agent(echo);
    let mut open = Vec::new();
    for _ in 0..MAX_CHANNELS {
        open.push(agent.open(exec("x")).await.unwrap());
    }
    assert_eq!(code(agent.open(exec("x")).await).await, OpenCode::TooManyChannels);
    let (mut input, output) = open.pop().unwrap().split();
    input.eof().await.unwrap();
    collect(output).await;
    drop(input);
    assert!(agent.open(exec("x")).await.is_ok());
}

#[tokio::test]
async fn a_channel_that_nobody_reads_holds_up_no_other() {
    let agent = agent(|request| async {
        match &request.open {
            Open::Exec { command, .. } if command == "flood" => flood(request).await,
            _ => echo(request).await,
        }
    });
    let mut stalled = Vec::new();
    for _ in 0..20 {
        stalled.push(agent.open(exec("flood")).await.unwrap());
    }
    let (mut input, output) = agent.open(exec("echo")).await.unwrap().split();
    let reading = tokio::spawn(collect(output));
    input.write(Bytes::from(vec![7; 4 << 20])).await.unwrap();
    input.eof().await.unwrap();
    assert_eq!(reading.await.unwrap().0, 4 << 20);
    // What was stalled is all there.
    let (_input, output) = stalled.pop().unwrap().split();
    assert_eq!(collect(output).await.0, 64 << 20);
}

#[tokio::test]
async fn what_was_written_arrives_before_the_close() {
    let (tell, mut told) = mpsc::unbounded_channel();
    let agent = agent(move |request| {
        let tell = tell.clone();
        async move {
            let Served { mut stdin, .. } = request.accept();
            let mut bytes = 0;
            while let Some(data) = stdin.next().await {
                bytes += data.len();
            }
            tell.send(bytes).unwrap();
        }
    });
    let (mut input, output) = agent.open(exec("x")).await.unwrap().split();
    input.write(Bytes::from(vec![7; 50_000])).await.unwrap();
    drop((input, output));
    assert_eq!(told.recv().await, Some(50_000));
}

#[tokio::test]
async fn output_that_nobody_wants_holds_up_nobody() {
    let agent = agent(flood);
    let (input, output) = agent.open(exec("x")).await.unwrap().split();
    drop(output);
    // The other end finishes all that it has to say, and closes the channel: no signal can be sent any more.
    let mut input = input;
    while input.signal("TERM").await.is_ok() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn resizes_and_signals_arrive_and_unknown_signals_do_not() {
    let (tell, mut told) = mpsc::unbounded_channel();
    let agent = agent(move |request| {
        let tell = tell.clone();
        async move {
            let Served {
                mut controls, reply, ..
            } = request.accept();
            while let Some(control) = controls.next().await {
                tell.send(Some(control)).unwrap();
            }
            drop(reply);
            tell.send(None).unwrap();
        }
    });
    let pty = Pty {
        term: "xterm".to_owned(),
        columns: 80,
        rows: 24,
        width_px: 0,
        height_px: 0,
        modes: vec![(53, 0), (128, 38400)],
    };
    let shell = Open::Shell {
        pty: Some(pty),
        env: vec![("LANG".to_owned(), "C".to_owned())],
    };
    let (mut input, output) = agent.open(shell).await.unwrap().split();
    let size = Size {
        columns: 1,
        rows: 2,
        width_px: 3,
        height_px: 4,
    };
    input.resize(size).await.unwrap();
    assert_eq!(told.recv().await, Some(Some(Control::Resize(size))));
    input.signal("WINCH").await.unwrap();
    for signal in Signal::ALL {
        input.signal(signal.as_str()).await.unwrap();
        assert_eq!(told.recv().await, Some(Some(Control::Signal(*signal))));
    }
    drop((input, output));
    assert_eq!(told.recv().await, Some(None));
}

#[tokio::test]
async fn the_end_of_the_connection_ends_every_channel() {
    let (ours, theirs) = duplex(64 * 1024);
    let (agent, driver) = Agent::connect(ours);
    let ours = tokio::spawn(driver);
    let (mut requests, driver) = serve(theirs);
    let theirs = tokio::spawn(driver);
    let opening = tokio::spawn({
        let agent = agent.clone();
        async move { agent.open(exec("x")).await }
    });
    let served = requests.next().await.unwrap().accept();
    let (mut input, mut output) = opening.await.unwrap().unwrap().split();
    let pending = tokio::spawn({
        let agent = agent.clone();
        async move { agent.open(exec("x")).await.err().unwrap().code }
    });
    let unanswered = requests.next().await.unwrap();
    theirs.abort();
    assert!(theirs.await.is_err());
    assert!(ours.await.unwrap().is_ok());
    assert_eq!(pending.await.unwrap(), OpenCode::ConnectionLost);
    assert_eq!(output.next().await, None);
    assert!(input.write(Bytes::from_static(b"x")).await.is_err());
    assert!(served.reply.stdout(Bytes::from_static(b"x")).await.is_err());
    assert!(requests.next().await.is_none());
    drop(unanswered);
    assert_eq!(code(agent.open(exec("x")).await).await, OpenCode::ConnectionLost);
}

#[tokio::test]
async fn the_driver_ends_with_the_last_handle() {
    let (ours, mut theirs) = duplex(1024);
    let (agent, driver) = Agent::connect(ours);
    let driver = tokio::spawn(driver);
    drop(agent);
    assert!(driver.await.unwrap().is_ok());
    let mut said = Vec::new();
    theirs.read_to_end(&mut said).await.unwrap();
    assert_eq!(said, [&[0, 0, 0, 0, 0, 0, 0, 10][..], b"jejuagnt\0\x01"].concat());
}

#[tokio::test]
async fn a_container_that_never_closes_does_not_keep_the_driver() {
    let (ours, mut theirs) = duplex(64 * 1024);
    let (agent, driver) = Agent::connect(ours);
    let driver = tokio::spawn(driver);
    let opening = tokio::spawn({
        let agent = agent.clone();
        async move { agent.open(exec("x")).await }
    });
    // The greeting, and the request of 1 + 2 + 1 + 1 + 2 bytes.
    theirs.read_exact(&mut [0; 18 + 8 + 7]).await.unwrap();
    let said = [
        &[0, 0, 0, 0, 0, 0, 0, 10][..],
        b"jejuagnt\0\x01",
        &[2, 0, 0, 0, 1, 0, 0, 0],
    ]
    .concat();
    theirs.write_all(&said).await.unwrap();
    let channel = opening.await.unwrap().unwrap();
    drop((channel, agent));
    assert!(driver.await.unwrap().is_ok());
}

#[tokio::test(start_paused = true)]
async fn silent_ends_say_that_they_are_there() {
    let (ours, theirs) = duplex(64 * 1024);
    let (agent, driver) = Agent::connect(ours);
    let driver = tokio::spawn(driver);
    let (mut requests, serving) = serve(theirs);
    let serving = tokio::spawn(serving);
    tokio::spawn(async move {
        while let Some(request) = requests.next().await {
            tokio::spawn(echo(request));
        }
    });
    // Both have said so many times when something is asked again.
    for _ in 0..2 {
        tokio::time::sleep(std::time::Duration::from_secs(600)).await;
        let (mut input, output) = agent.open(exec("x")).await.unwrap().split();
        input.write(Bytes::from_static(b"still here")).await.unwrap();
        input.eof().await.unwrap();
        assert_eq!(collect(output).await.0, 10);
    }
    drop(agent);
    driver.await.unwrap().unwrap();
    serving.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn silence_is_broken_each_minute() {
    let (ours, mut theirs) = duplex(1024);
    let (_agent, driver) = Agent::connect(ours);
    tokio::spawn(driver);
    theirs
        .write_all(&[&[0, 0, 0, 0, 0, 0, 0, 10][..], b"jejuagnt\0\x01"].concat())
        .await
        .unwrap();
    theirs.read_exact(&mut [0; 18]).await.unwrap();
    let start = tokio::time::Instant::now();
    let mut said = [0; 16];
    theirs.read_exact(&mut said).await.unwrap();
    assert_eq!(said, [12, 0, 0, 0, 0, 0, 0, 0, 12, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(start.elapsed().as_secs(), 120);
}
