//! Requests and mutants of them by the thousand.

use super::*;

#[test]
fn random_requests_round_trip() {
    let mut random = Xorshift(0x9e37_79b9_7f4a_7c15);
    let mut checked = 0;
    for _ in 0..20_000 {
        let request = random.request();
        let emitted = request.emit();
        match request.check() {
            Ok(()) => {
                checked += 1;
                assert_eq!(parse(&emitted), Ok(request));
            }
            Err(refusal) => {
                assert_eq!(parse(&emitted), Err(refusal));
            }
        }
    }
    assert!((5_000..19_000).contains(&checked), "{checked}");
}

/// Whatever is changed about a request, it is refused or is the emission of what was parsed.
#[test]
fn no_mutant_is_taken_for_another_request() {
    let mut random = Xorshift(0x2545_f491_4f6c_dd1d);
    let requests = requests();
    let (mut refused, mut other) = (0, 0);
    for _ in 0..30_000 {
        let request = random.pick(&requests);
        let mut emitted = request.emit();
        let original = emitted.clone();
        match &mut emitted.body {
            Some(body) if random.below(3) > 0 => random.mutate(body),
            _ => {
                let mut target = std::mem::take(&mut emitted.target).into_bytes();
                random.mutate(&mut target);
                emitted.target = String::from_utf8_lossy(&target).into_owned();
            }
        }
        match parse(&emitted) {
            Ok(parsed) => {
                assert_eq!(parsed.emit(), emitted);
                other += usize::from(emitted != original);
            }
            Err(_) => refused += 1,
        }
    }
    assert!(refused > 15_000 && other > 250, "{refused} {other}");
}

struct Xorshift(u64);

impl Xorshift {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len())]
    }

    fn bytes(&mut self) -> [u8; 32] {
        std::array::from_fn(|_| self.next() as u8)
    }

    fn flip(&mut self) -> bool {
        self.below(2) == 0
    }

    fn mutate(&mut self, bytes: &mut Vec<u8>) {
        const ALPHABET: &[u8] = b"\"\\{}[],:0129afzAZ%?&=/.- \n\0\xff\xc5\xbf";
        for _ in 0..=self.below(2) {
            let byte = *self.pick(ALPHABET);
            if bytes.is_empty() {
                return bytes.push(byte);
            }
            let at = self.below(bytes.len());
            match self.below(4) {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                2 => drop(bytes.remove(at)),
                _ => bytes[at] ^= 1 << self.below(8),
            }
        }
    }

    fn text(&mut self) -> String {
        let pieces = [
            "a",
            "/bin/sh",
            "--",
            " ",
            "\"",
            "\\",
            "\u{17f}",
            "\u{1f600}",
            "\n",
            "\u{7f}",
            "</script>",
            "'",
        ];
        (0..self.below(6)).map(|_| *self.pick(&pieces)).collect()
    }

    fn command(&mut self) -> Vec<String> {
        (0..self.below(5)).map(|_| self.text()).collect()
    }

    fn image(&mut self) -> ImageReference {
        let name = *self.pick(&[
            "a",
            "a/b",
            "localhost:5000/x-y_z",
            "docker.io/library/debian",
            "r.example/json",
        ]);
        let tag = *self.pick(&["", ":latest", ":V1.2_3-x"]);
        let digest = match self.flip() {
            true => format!("@sha256:{}", hex::encode(self.bytes())),
            false => String::new(),
        };
        image(&format!("{name}{tag}{digest}"))
    }

    fn container(&mut self) -> ContainerSpec {
        let paths = ["/data", "/a/b", "/var/lib/x y", "/proc", "/z"];
        let mut memory_paths: Vec<String> = (0..self.below(3))
            .map(|_| (*self.pick(&paths)).to_owned())
            .collect();
        memory_paths.sort();
        ContainerSpec {
            name: ContainerName::from_id(self.bytes()),
            agent: self.bytes(),
            image: self.image(),
            command: self.command(),
            labels: (0..self.below(3))
                .map(|_| {
                    (
                        format!("jeju.{}", self.pick(&["a", "b-1", "agents"])),
                        self.text(),
                    )
                })
                .collect(),
            memory: self.next() >> self.pick(&[14, 15, 30, 42]),
            nano_cpus: self.next() >> self.pick(&[24, 28, 36, 40]),
            pids: (self.next() >> self.pick(&[48, 52, 58])) as u32,
            network: *self.pick(&[Network::None, Network::Own]),
            storage: self.flip().then(|| self.next() >> self.pick(&[14, 20, 30])),
            memory_paths,
        }
    }

    fn request(&mut self) -> Request {
        let (name, agent) = (ContainerName::from_id(self.bytes()), self.bytes());
        match self.below(9) {
            0 => Request::PullImage(self.image()),
            1 => Request::InspectImage(self.image()),
            2 => Request::Logs {
                name,
                tail: self.below(12_000) as u32,
            },
            3 => Request::StopContainer {
                name,
                seconds: self.below(400) as u32,
            },
            4 => Request::CreateNetwork(NetworkSpec {
                name,
                agent,
                internal: self.flip(),
            }),
            5 => Request::CreateExec {
                name,
                spec: ExecSpec {
                    command: self.command(),
                    stdin: self.flip(),
                },
            },
            6 => Request::ListContainers { agent },
            _ => Request::CreateContainer(Box::new(self.container())),
        }
    }
}
