//! Who has to wait for whom.

use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::hostile::read_head;
use super::*;

const FEW: Limits = Limits {
    total: 4,
    per_owner: 3,
    per_worker: 2,
    ..LIMITS
};

/// A server that answers nothing, and hands out its connections by what they ask for.
struct Silent {
    world: World,
    asked: mpsc::UnboundedReceiver<(String, TcpStream)>,
}

impl Silent {
    async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let world = World::with(&Trust::new(&["x.example"]), FEW);
        world.lead("a.example:80", listener.local_addr().unwrap());
        let (sender, asked) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let mut stream = tokio::io::BufReader::new(stream);
                let head = read_head(&mut stream).await;
                let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
                let _ = sender.send((path, stream.into_inner()));
            }
        });
        Self { world, asked }
    }

    fn fetch(&self, owner: u8, worker: &str, path: &str) -> JoinHandle<()> {
        let fetching =
            self.world
                .fetcher
                .fetch(of(owner, worker), get(&format!("http://a.example/{path}")), None);
        tokio::spawn(async move { drop(fetching.await) })
    }

    /// The next that got through.
    async fn next(&mut self) -> (String, TcpStream) {
        soon(self.asked.recv()).await.unwrap()
    }

    /// Nobody else got through.
    async fn none(&mut self) {
        let next = timeout(Duration::from_millis(150), self.asked.recv()).await;
        assert!(next.is_err(), "{:?}", next.unwrap().map(|(path, _)| path));
    }
}

#[tokio::test]
async fn workers_and_owners_wait_for_their_own_and_leave_room_to_others() {
    let mut server = Silent::new().await;
    let mut open = Vec::new();
    // Two of a worker's three get through, then one of its owner's other worker.
    for (worker, path) in [("w", "1"), ("w", "2"), ("w", "3"), ("v", "4"), ("v", "5")] {
        server.fetch(1, worker, path);
        tokio::task::yield_now().await;
    }
    for _ in 0..3 {
        open.push(server.next().await);
    }
    let mut through: Vec<_> = open.iter().map(|(path, _)| path.as_str()).collect();
    through.sort_unstable();
    assert_eq!(through, ["/1", "/2", "/4"]);
    server.none().await;
    // Another owner finds the fourth place, and the next waits for one.
    server.fetch(2, "w", "6");
    open.push(server.next().await);
    assert_eq!(open[3].0, "/6");
    server.fetch(3, "w", "7");
    server.none().await;
    // A place that gets free goes on to one that waited.
    open.retain(|(path, _)| path != "/6");
    let (path, stream) = server.next().await;
    assert_eq!(path, "/7");
    drop((open, stream));
    let mut rest = Vec::new();
    for _ in 0..2 {
        rest.push(server.next().await.0);
    }
    rest.sort_unstable();
    assert_eq!(rest, ["/3", "/5"]);
}

#[tokio::test]
async fn who_goes_away_leaves_its_place() {
    let mut server = Silent::new().await;
    let first = [server.fetch(1, "w", "1"), server.fetch(1, "w", "2")];
    let open = [server.next().await, server.next().await];
    let waits = server.fetch(1, "w", "3");
    server.none().await;
    waits.abort();
    server.fetch(1, "w", "4");
    server.none().await;
    first.iter().for_each(JoinHandle::abort);
    assert_eq!(server.next().await.0, "/4");
    drop(open);
}

#[tokio::test]
async fn owners_that_do_nothing_are_forgotten() {
    let limits = Limits {
        keep: Duration::from_millis(40),
        ..LIMITS
    };
    let world = World::with(&Trust::new(&["x.example"]), limits);
    let server = servers::Server::start(None, servers::echo).await;
    world.lead("a.example:80", server.address);
    for owner in 0..50 {
        let (_, body) = soon(
            world
                .fetcher
                .fetch(of(owner, "w"), get("http://a.example/"), None),
        )
        .await
        .ok()
        .unwrap();
        whole(body).await.unwrap();
    }
    let forgotten = async {
        while world.fetcher.0.places.owners() > 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    soon(forgotten).await;
}
