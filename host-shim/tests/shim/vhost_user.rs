//! The shim on a vhost-user vsock device.

use super::*;

/// A shim on a vhost-user vsock device, and that device's end of the first connection once it has answered it.
async fn device(answer: &'static [u8]) -> (RunningShim, TempDir, JoinHandle<UnixStream>) {
    let dir = tempfile::tempdir().unwrap();
    let launch = dir.path().join("launch.toml");
    std::fs::write(&launch, LAUNCH).unwrap();
    let socket = dir.path().join("v.sock");
    let mut config = Config::new(HostTransport::VhostUser(socket.clone()), launch);
    config.listen.insert(Port::Node, loopback());
    config.half_close_grace = Duration::from_secs(2);
    let shim = HostShim::start(config).await.unwrap();
    let listener = UnixListener::bind(&socket).unwrap();
    let guest = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = [0; b"CONNECT 4007\n".len()];
        stream.read_exact(&mut request).await.unwrap();
        assert_eq!(&request, b"CONNECT 4007\n");
        stream.write_all(answer).await.unwrap();
        stream
    });
    (shim, dir, guest)
}

#[tokio::test]
async fn a_vhost_user_device_is_dialled_and_told_of_no_half_close() {
    let (shim, dir, guest) = device(b"OK 1073741824\nhello").await;
    let mut client = TcpStream::connect(shim.local_addr(Port::Node).unwrap())
        .await
        .unwrap();
    client.write_all(b"question").await.unwrap();
    client.shutdown().await.unwrap();
    let mut guest = soon(guest).await.unwrap();
    soon(guest.read_exact(&mut [0; 8])).await.unwrap();
    // The end is held back while the guest may answer …
    assert!(
        timeout(Duration::from_millis(300), guest.read(&mut [0; 1]))
            .await
            .is_err()
    );
    guest.write_all(b" and answer").await.unwrap();
    let mut seen = [0; 16];
    soon(client.read_exact(&mut seen)).await.unwrap();
    assert_eq!(&seen, b"hello and answer");
    // … and told once it has been silent for the grace time.
    assert_eq!(rest(&mut guest).await, b"");
    // The guest dials the socket next to the device's.
    let mut documents = UnixStream::connect(dir.path().join("v.sock_5003")).await.unwrap();
    let launch = soon(document::fetch(&mut documents, &DocumentRequest::Launch, 4096))
        .await
        .unwrap();
    assert_eq!(launch, LAUNCH);
}

#[tokio::test]
async fn a_devices_wrong_answer_closes_the_client() {
    for answer in [&b""[..], b"NO\n", b"OK\n", b"OK -1\n", &[b'O'; 4096]] {
        let (shim, _dir, guest) = device(answer).await;
        let mut client = TcpStream::connect(shim.local_addr(Port::Node).unwrap())
            .await
            .unwrap();
        client.write_all(b"secret").await.unwrap();
        drop(soon(guest).await.unwrap());
        assert_eq!(rest(&mut client).await, b"", "{answer:?}");
    }
}
