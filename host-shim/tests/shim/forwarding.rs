//! TCP to the guest and back.

use super::*;

/// Sends `len` pseudo-random bytes and ends its direction; gives their digest.
fn send<S: AsyncWrite + Send + 'static>(mut to: WriteHalf<S>, len: usize, seed: u64) -> JoinHandle<[u8; 32]> {
    tokio::spawn(async move {
        let (mut digest, mut state, mut left) = (Sha256::new(), seed, len);
        // Sizes that are no multiple of anyone's buffer.
        let mut chunk = vec![0; 77_777];
        while left > 0 {
            let count = left.min(chunk.len());
            for byte in &mut chunk[..count] {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                *byte = (state >> 56) as u8;
            }
            digest.update(&chunk[..count]);
            to.write_all(&chunk[..count]).await.unwrap();
            left -= count;
        }
        to.shutdown().await.unwrap();
        digest.finalize().into()
    })
}

/// Length and digest of all that comes.
fn receive<S: AsyncRead + Send + 'static>(mut from: ReadHalf<S>) -> JoinHandle<(usize, [u8; 32])> {
    tokio::spawn(async move {
        let (mut digest, mut total, mut chunk) = (Sha256::new(), 0, vec![0; 100_000]);
        loop {
            match from.read(&mut chunk).await.unwrap() {
                0 => return (total, digest.finalize().into()),
                count => {
                    digest.update(&chunk[..count]);
                    total += count;
                }
            }
        }
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_arrive_unchanged_in_both_directions_at_once() {
    const LEN: usize = 64 << 20;
    let rig = Rig::new(|_| {}).await;
    let (client, guest) = rig.connection(&rig.listen()).await;
    let ((client_in, client_out), (guest_in, guest_out)) = (split(client), split(guest));
    let (up, down) = (send(client_out, LEN, 1), send(guest_out, LEN, 2));
    let (at_guest, at_client) = (receive(guest_in), receive(client_in));
    assert_eq!(soon(at_guest).await.unwrap(), (LEN, up.await.unwrap()));
    assert_eq!(soon(at_client).await.unwrap(), (LEN, down.await.unwrap()));
    rig.until("jeju_shim_connections_active{port=\"4007\"}", 0).await;
    assert_eq!(
        rig.metric("jeju_shim_bytes_total{port=\"4007\",direction=\"to_guest\"}")
            .await,
        LEN as u64
    );
    assert_eq!(
        rig.metric("jeju_shim_bytes_total{port=\"4007\",direction=\"from_guest\"}")
            .await,
        LEN as u64
    );
}

#[tokio::test]
async fn either_side_may_stop_sending_and_still_receive() {
    let rig = Rig::new(|_| {}).await;
    let listener = rig.listen();

    let (mut client, mut guest) = rig.connection(&listener).await;
    client.write_all(b"question").await.unwrap();
    client.shutdown().await.unwrap();
    assert_eq!(rest(&mut guest).await, b"question");
    guest.write_all(b"answer").await.unwrap();
    drop(guest);
    assert_eq!(rest(&mut client).await, b"answer");

    let (mut client, mut guest) = rig.connection(&listener).await;
    guest.write_all(b"greeting").await.unwrap();
    guest.shutdown().await.unwrap();
    assert_eq!(rest(&mut client).await, b"greeting");
    client.write_all(b"reply").await.unwrap();
    drop(client);
    assert_eq!(rest(&mut guest).await, b"reply");
}

#[tokio::test]
async fn an_early_answer_to_an_upload_that_the_guest_refuses_gets_through() {
    let rig = Rig::new(|_| {}).await;
    let (client, mut guest) = rig.connection(&rig.listen()).await;
    let (mut client_in, mut client_out) = split(client);
    let upload = tokio::spawn(async move {
        // Fails once the guest is gone.
        while client_out.write_all(&[0; 65536]).await.is_ok() {}
    });
    guest.read_exact(&mut [0; 1000]).await.unwrap();
    guest.write_all(b"413").await.unwrap();
    sleep(Duration::from_millis(50)).await;
    drop(guest);
    let mut answer = [0; 3];
    soon(client_in.read_exact(&mut answer)).await.unwrap();
    assert_eq!(&answer, b"413");
    upload.abort();
}

#[tokio::test]
async fn connections_over_the_limit_are_closed_at_once() {
    let rig = Rig::new(|config| config.max_connections = 2).await;
    let listener = rig.listen();
    let first = rig.connection(&listener).await;
    let second = rig.connection(&listener).await;
    let mut third = rig.client().await;
    assert_eq!(rest(&mut third).await, b"");
    assert_eq!(
        rig.metric("jeju_shim_connections_over_limit_total{port=\"4007\"}")
            .await,
        1
    );
    drop(first);
    rig.until("jeju_shim_connections_active{port=\"4007\"}", 1).await;
    let (mut fourth, mut guest) = rig.connection(&listener).await;
    fourth.write_all(b"x").await.unwrap();
    soon(guest.read_exact(&mut [0; 1])).await.unwrap();
    drop(second);
}

#[tokio::test]
async fn a_guest_that_does_not_listen_costs_a_client_its_connection_only() {
    let rig = Rig::new(|_| {}).await;
    assert_eq!(rest(&mut rig.client().await).await, b"");
    assert_eq!(
        rig.metric("jeju_shim_dial_failures_total{port=\"4007\"}").await,
        1
    );
    rig.connection(&rig.listen()).await;
}

#[tokio::test]
async fn silent_connections_are_closed() {
    let rig = Rig::new(|config| config.idle_timeout = Duration::from_secs(1)).await;
    let (mut client, mut guest) = rig.connection(&rig.listen()).await;
    let start = Instant::now();
    for _ in 0..4 {
        sleep(Duration::from_millis(300)).await;
        guest.write_all(b".").await.unwrap();
    }
    assert_eq!(rest(&mut client).await, b"....");
    assert!(
        start.elapsed() >= Duration::from_millis(2200),
        "traffic in one direction keeps both open"
    );
    assert_eq!(
        rig.metric("jeju_shim_idle_timeouts_total{port=\"4007\"}").await,
        1
    );
}

#[tokio::test]
async fn a_receiver_that_never_reads_stops_its_sender() {
    let rig = Rig::new(|_| {}).await;
    let (client, guest) = rig.connection(&rig.listen()).await;
    let flood = async |stream: &mut (dyn AsyncWrite + Unpin + Send)| {
        let mut sent = 0;
        while let Ok(written) = timeout(Duration::from_millis(500), stream.write(&[0; 65536])).await {
            sent += written.unwrap();
            assert!(sent < 64 << 20, "bytes pile up somewhere");
        }
    };
    let (_client_in, mut client_out) = split(client);
    let (_guest_in, mut guest_out) = split(guest);
    flood(&mut client_out).await;
    flood(&mut guest_out).await;
    // What the shim has taken from each sender is what the receivers' sockets hold, and one buffer.
    for direction in ["to_guest", "from_guest"] {
        let series = format!("jeju_shim_bytes_total{{port=\"4007\",direction=\"{direction}\"}}");
        assert!(rig.metric(&series).await < 16 << 20);
    }
}

#[tokio::test]
async fn shutdown_lets_open_connections_end() {
    let rig = Rig::new(|_| {}).await;
    let (mut client, mut guest) = rig.connection(&rig.listen()).await;
    let address = rig.shim.local_addr(Port::Node).unwrap();
    let stopping = tokio::spawn(rig.shim.shutdown());
    let start = Instant::now();
    while TcpStream::connect(address).await.is_ok() {
        assert!(start.elapsed() < PATIENCE, "still accepts");
        sleep(Duration::from_millis(10)).await;
    }
    assert!(!stopping.is_finished());
    guest.write_all(b"late").await.unwrap();
    drop(guest);
    assert_eq!(rest(&mut client).await, b"late");
    drop(client);
    soon(stopping).await.unwrap();
}

#[tokio::test]
async fn shutdown_cuts_what_does_not_end() {
    let rig = Rig::new(|config| config.drain_timeout = Duration::from_millis(200)).await;
    let (mut client, _guest) = rig.connection(&rig.listen()).await;
    soon(rig.shim.shutdown()).await;
    assert_eq!(rest(&mut client).await, b"");
}
