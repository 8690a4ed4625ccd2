use std::os::unix::net::UnixStream as StdUnixStream;

use super::*;

fn call(account: Option<[u8; 20]>, action: Action) -> Call {
    Call {
        account: account.map(HexBytes),
        action,
    }
}

async fn pair() -> (RentalsClient, FrontSocket) {
    let (front, rentals) = StdUnixStream::pair().unwrap();
    let server = FrontSocket::new(rentals.into()).unwrap();
    server.host_key(&[7; 32]).await.unwrap();
    let (client, key) = RentalsClient::connect(front.into()).await.unwrap();
    assert_eq!(key, [7; 32]);
    (client, server)
}

#[tokio::test]
async fn each_call_gets_its_own_answer() {
    let (client, mut server) = pair().await;
    let rental = HexBytes([5; 32]);
    let calls = [
        call(None, Action::List),
        call(Some([1; 20]), Action::Logs { rental, tail: 9 }),
        call(
            Some([2; 20]),
            Action::Exec {
                rental,
                command: vec!["ls".into()],
            },
        ),
    ];
    let asked = calls.clone();
    let serving = tokio::spawn(async move {
        let mut waiting = Vec::new();
        for _ in 0..3 {
            waiting.push(server.next().await.unwrap());
        }
        // In another order than they came.
        while let Some(asked) = waiting.pop() {
            let text = format!("{:?}", asked.call);
            asked.answer(&Answer::Text(text)).await;
        }
        server
    });
    let answers = futures_util::future::join_all(asked.iter().map(|call| client.ask(call))).await;
    for (call, answer) in calls.iter().zip(answers) {
        assert_eq!(answer, Ok(Answer::Text(format!("{call:?}"))));
    }
    drop(serving.await.unwrap());
    assert_eq!(client.ask(&calls[0]).await, Err(RentalsGone));
}

#[tokio::test]
async fn a_front_that_breaks_the_protocol_is_gone() {
    for (kind, body) in [
        (CALL, &b"12345678{}"[..]),
        (ANSWER, b"12345678null"),
        (CALL, b"1"),
    ] {
        let (front, rentals) = StdUnixStream::pair().unwrap();
        let mut server = FrontSocket::new(rentals.into()).unwrap();
        front.set_nonblocking(true).unwrap();
        let mut front = tokio::net::UnixStream::from_std(front).unwrap();
        crate::ipc::frame::write(&mut front, kind, body).await.unwrap();
        assert!(server.next().await.is_none());
    }
}

#[tokio::test]
async fn the_first_frame_is_the_key() {
    for (kind, body) in [(HOST_KEY, &[0; 31][..]), (ANSWER, &[0; 32])] {
        let (front, rentals) = StdUnixStream::pair().unwrap();
        rentals.set_nonblocking(true).unwrap();
        let mut rentals = tokio::net::UnixStream::from_std(rentals).unwrap();
        crate::ipc::frame::write(&mut rentals, kind, body).await.unwrap();
        assert!(RentalsClient::connect(front.into()).await.is_err());
    }
}
