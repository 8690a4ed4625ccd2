use super::super::socket::FrontSocket;
use super::super::{MAX_PEER_BYTES, MeasurementStatus, PeerEvidence, PeerRole};
use super::*;

const KEYS: FromSigner = FromSigner::Keys {
    identity: [2; 33],
    channel: [3; 32],
};

async fn connected() -> (SignerClient, SignerStreams, FrontSocket) {
    let (front, signer) = StdUnixStream::pair().unwrap();
    let signer = FrontSocket::new(signer.into()).unwrap();
    signer.writer.send(&KEYS).await.unwrap();
    let (client, keys, streams) = SignerClient::connect(front.into()).await.unwrap();
    assert_eq!((keys.identity, keys.channel), ([2; 33], [3; 32]));
    (client, streams, signer)
}

#[tokio::test]
async fn requests_are_answered_by_ticket() {
    let (client, _streams, mut signer) = connected().await;
    client.time(5, 9).await.unwrap();
    assert_eq!(signer.next().await, Some(ToSigner::Time { lower: 5, upper: 9 }));
    let requests = [b"one", b"two"].map(|bytes| {
        let client = client.clone();
        tokio::spawn(async move { client.request(bytes.to_vec()).await })
    });
    let mut asked = Vec::new();
    for _ in 0..2 {
        let Some(ToSigner::Request { ticket, bytes }) = signer.next().await else {
            panic!()
        };
        asked.push((ticket, bytes));
    }
    // In the other order than they came, and one that nobody waits for.
    for (ticket, document) in asked.into_iter().rev().chain([(99, vec![])]) {
        signer
            .writer
            .send(&FromSigner::Answer { ticket, document })
            .await
            .unwrap();
    }
    let [one, two] = requests;
    assert_eq!(one.await.unwrap(), Ok(b"one".to_vec()));
    assert_eq!(two.await.unwrap(), Ok(b"two".to_vec()));
}

#[tokio::test]
async fn what_is_too_long_is_not_sent() {
    let (client, _streams, _signer) = connected().await;
    assert_eq!(
        client.request(vec![0; MAX_REQUEST + 1]).await,
        Err(SignerFailure::TooLong)
    );
    let (link, _inbox) = client.open_peer().unwrap();
    assert_eq!(
        link.received(vec![0; MAX_PEER_BYTES + 1]).await,
        Err(SignerFailure::TooLong)
    );
    let evidence = PeerEvidence {
        role: PeerRole::Server,
        channel: [1; 32],
        bundle: vec![0; jeju_attestation::bundle::MAX_LEN + 1],
        measurement: MeasurementStatus::Active,
    };
    assert_eq!(link.evidence(evidence).await, Err(SignerFailure::TooLong));
}

#[tokio::test]
async fn a_peer_is_admitted_and_goes() {
    let (client, _streams, mut signer) = connected().await;
    let (link, mut inbox) = client.open_peer().unwrap();
    let evidence = PeerEvidence {
        role: PeerRole::Server,
        channel: [1; 32],
        bundle: vec![2; 10],
        measurement: MeasurementStatus::Active,
    };
    let front = async {
        assert_eq!(link.nonce().await, Ok([7; 32]));
        assert_eq!(link.evidence(evidence.clone()).await, Ok(Ok(3)));
        link.received(vec![1, 2]).await.unwrap();
        assert_eq!(inbox.next().await, Some(vec![5]));
        assert_eq!(inbox.next().await, None, "the signer wants no more of it");
        drop(link);
    };
    let back = async {
        let Some(ToSigner::PeerOpened { connection }) = signer.next().await else {
            panic!()
        };
        let nonce = [7; 32];
        signer
            .writer
            .send(&FromSigner::Nonce { connection, nonce })
            .await
            .unwrap();
        assert!(matches!(signer.next().await, Some(ToSigner::PeerEvidence { .. })));
        let member = 3;
        signer
            .writer
            .send(&FromSigner::Admitted { connection, member })
            .await
            .unwrap();
        let bytes = vec![1, 2];
        assert_eq!(
            signer.next().await,
            Some(ToSigner::PeerBytes { connection, bytes })
        );
        let bytes = vec![5];
        signer
            .writer
            .send(&FromSigner::PeerSend { connection, bytes })
            .await
            .unwrap();
        let code = "mpc_peer_evidence_expired".to_owned();
        signer
            .writer
            .send(&FromSigner::NotAdmitted { connection, code })
            .await
            .unwrap();
        assert_eq!(signer.next().await, Some(ToSigner::PeerClosed { connection }));
    };
    tokio::join!(front, back);
}

#[tokio::test]
async fn a_peer_that_is_too_slow_is_cut_off() {
    let (client, _streams, mut signer) = connected().await;
    let (link, mut inbox) = client.open_peer().unwrap();
    let asking = tokio::spawn(async move { (link.nonce().await, link) });
    let Some(ToSigner::PeerOpened { connection }) = signer.next().await else {
        panic!()
    };
    for _ in 0..=MAX_UNSENT {
        let bytes = vec![0];
        signer
            .writer
            .send(&FromSigner::PeerSend { connection, bytes })
            .await
            .unwrap();
    }
    let nonce = [7; 32];
    signer
        .writer
        .send(&FromSigner::Nonce { connection, nonce })
        .await
        .unwrap();
    let (_, _link) = asking.await.unwrap();
    let mut got = 0;
    while inbox.next().await.is_some() {
        got += 1;
    }
    assert_eq!(got, MAX_UNSENT);
}

#[tokio::test]
async fn questions_reach_the_front() {
    let (client, mut streams, mut signer) = connected().await;
    let ask = FromSigner::AskContract {
        query: 4,
        account: [1; 20],
        digest: [2; 32],
        signature: vec![3; 65],
    };
    signer.writer.send(&ask).await.unwrap();
    let asker = streams.contracts.recv().await.unwrap();
    assert_eq!((asker.account, asker.digest), ([1; 20], [2; 32]));
    asker.answer(true).await;
    let (query, valid) = (4, true);
    assert_eq!(
        signer.next().await,
        Some(ToSigner::ContractAnswer { query, valid })
    );
    let op = BlobOp::Get { name: "s/a".into() };
    signer
        .writer
        .send(&FromSigner::Blob {
            id: 6,
            op: op.clone(),
        })
        .await
        .unwrap();
    let asker = streams.blobs.recv().await.unwrap();
    assert_eq!(asker.op, op);
    asker.answer(None).await;
    let reply = None;
    assert_eq!(signer.next().await, Some(ToSigner::BlobAnswer { id: 6, reply }));
    drop(client);
}

#[tokio::test]
async fn links_are_bounded() {
    let (client, _streams, _signer) = connected().await;
    let links: Vec<_> = (0..MAX_LINKS).map(|_| client.open_peer().unwrap()).collect();
    assert!(matches!(client.open_peer(), Err(SignerFailure::Busy)));
    drop(links);
    assert!(client.open_peer().is_ok());
}

#[tokio::test]
async fn a_signer_that_breaks_the_protocol_or_ends_is_gone() {
    for second_keys in [true, false] {
        let (client, _streams, signer) = connected().await;
        let (link, mut inbox) = client.open_peer().unwrap();
        let asking = tokio::spawn({
            let client = client.clone();
            async move { client.status().await }
        });
        match second_keys {
            true => signer.writer.send(&KEYS).await.unwrap(),
            false => drop(signer),
        }
        assert_eq!(asking.await.unwrap(), Err(SignerFailure::Closed));
        assert_eq!(inbox.next().await, None);
        assert_eq!(link.nonce().await, Err(SignerFailure::Closed));
        assert!(matches!(client.open_peer(), Err(SignerFailure::Closed)));
    }
}

#[tokio::test]
async fn keys_come_first() {
    let (front, signer) = StdUnixStream::pair().unwrap();
    let signer = FrontSocket::new(signer.into()).unwrap();
    let nonce = [1; 32];
    let connection = 1;
    signer
        .writer
        .send(&FromSigner::Nonce { connection, nonce })
        .await
        .unwrap();
    let refused = SignerClient::connect(front.into()).await.unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::InvalidData);
}
