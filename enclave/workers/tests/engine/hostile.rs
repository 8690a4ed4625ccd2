//! What goes wrong on the channel, and code that takes the engine on.

use std::io::Write;
use std::os::unix::net::UnixStream;

use jeju_worker_protocol::{BodyOf, Failure, FetchResponse, ToProcess};
use jeju_workers::{ServeError, serve};

use crate::harness::{Process, get};

#[test]
fn a_channel_without_sense_ends_the_process() {
    for bytes in [&[0xff; 64][..], &[0, 0, 0, 2, 0xff, 0xff], &[0, 0, 0, 0]] {
        let (mut ours, theirs) = UnixStream::pair().unwrap();
        ours.write_all(bytes).unwrap();
        assert!(matches!(serve(theirs), Err(ServeError::Protocol)), "{bytes:?}");
    }
}

#[test]
fn messages_about_nothing_are_dropped() {
    let mut process = Process::start();
    let worker = process.worker("export default { async fetch() { await 0; return new Response('ok'); } };");
    for call in [0, 1, 77] {
        process.send(&ToProcess::Cancel(call));
        process.send(&ToProcess::Credit {
            call,
            of: BodyOf::Event,
            bytes: u32::MAX,
        });
        process.send(&ToProcess::Body {
            call,
            of: BodyOf::Fetch(9),
            data: vec![1],
        });
        process.body_end(call, BodyOf::Event, Some(Failure::new("x", "y")));
        process.send(&ToProcess::FetchFailed {
            call,
            fetch: 3,
            failure: Failure::new("x", "y"),
        });
        let response = FetchResponse {
            status: 1,
            status_text: String::new(),
            headers: vec![],
            url: String::new(),
            redirected: true,
        };
        process.send(&ToProcess::FetchHead {
            call,
            fetch: 0,
            response,
        });
    }
    process.send(&ToProcess::Unload(99));
    let call = process.call(worker, get("https://w.example/"));
    process.send(&ToProcess::Body {
        call,
        of: BodyOf::Fetch(1),
        data: vec![1],
    });
    process.send(&ToProcess::Credit {
        call,
        of: BodyOf::Fetch(1),
        bytes: 1,
    });
    assert_eq!(process.finish(call).outcome(), "200 ok");
}

#[test]
fn nothing_of_the_engine_is_in_reach() {
    let mut process = Process::start();
    let worker = process.worker(
        "const names = [];
         for (const name of ['host', 'web', 'require', 'process', 'Deno', 'std', 'os', 'bjson', 'print', 'scriptArgs', 'SharedArrayBuffer', 'WebAssembly', 'gc'])
           if (name in globalThis) names.push(name);
         for (const module of ['std', 'os', 'fs', 'node:fs', 'https://a.example/x.js', 'file:///etc/passwd', '/etc/passwd', '../../etc/passwd'])
           try { await import(module); names.push(module); } catch {}
         for (const code of [() => eval('1'), () => new Function('return 1')(), () => setTimeout('1'), () => (async () => {}).constructor('1')])
           try { code(); names.push(String(code)); } catch {}
         export default { fetch: () => new Response(names.join() || 'nothing') };",
    );
    assert_eq!(process.get(worker, "/").outcome(), "200 nothing");
}

#[test]
fn a_worker_that_changes_its_global_object_hurts_itself_alone() {
    let mut process = Process::start();
    let worker = process.worker(
        "Array.prototype.push = null; Promise.prototype.then = () => { throw 1; };
         Object.defineProperty(Object.prototype, 'body', { get() { return 'polluted'; } });
         Function.prototype.call = null; globalThis.Response = null; Object.prototype.set = 1; Array.prototype[Symbol.iterator] = null;
         export default { fetch: () => 1 };",
    );
    let neighbour = process.worker("export default { fetch: () => new Response('neighbour') };");
    assert_ne!(process.get(worker, "/").code(), "");
    assert_eq!(process.get(neighbour, "/").outcome(), "200 neighbour");
}

#[test]
fn native_code_that_never_looks_at_the_clock_ends_the_process_and_its_event_says_why() {
    let mut process = Process::start();
    let mut code = crate::harness::load(&[(
        "index.js",
        "export default { fetch() { Array.prototype.reverse.call(Object.freeze({ length: 2 ** 53 - 1 })); } };",
    )]);
    code.limits.cpu_ms = 100;
    let worker = process.load(code).0;
    let answer = process.get(worker, "/");
    assert_eq!(answer.code(), "worker_cpu_limit");
    assert!(process.ends, "said before the event's end");
    assert!(matches!(process.end(), Err(ServeError::Hangs)));
}
