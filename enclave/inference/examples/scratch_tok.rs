//! x
use jeju_inference::*;
fn main() {
    let t0 = std::time::Instant::now();
    let m = std::sync::Arc::new(Model::open("/tmp/w/model.gguf").unwrap());
    println!("load {:?}", t0.elapsed());
    for (n, t) in [("a", "a".repeat(256 << 10)), ("text", "The quick brown fox jumps over the lazy dog. ".repeat(5825)), ("sp", " ".repeat(256<<10)), ("emoji", "\u{1f600}".repeat(65536)), ("thai", "สวัสดีชาวโลก".repeat(7281))] {
        let s = std::time::Instant::now();
        let k = m.tokenizer().encode(&t).len();
        println!("{n} {} bytes {k} tokens {:?}", t.len(), s.elapsed());
    }
    for (threads, n) in [(1, 1), (1, 4), (2, 4)] {
        let e = Engine::new(m.clone(), EngineConfig { threads, ..Default::default() }).unwrap();
        let (tx, rx) = std::sync::mpsc::channel();
        let s = std::time::Instant::now();
        let g: Vec<_> = (0..n).map(|i| { let tx = tx.clone(); e.submit(GenerateRequest { prompt: Prompt::Chat(vec![Message { role: Role::User, content: "Tell a long story about a ship.".into() }]), sampling: Sampling { seed: i, ..Default::default() }, max_tokens: Some(200), stop: Default::default() }, move |ev| { if let Event::Finished(f) = ev { let _ = tx.send(f); } std::ops::ControlFlow::Continue(()) }).unwrap() }).collect();
        let mut tot = 0;
        for _ in 0..n { tot += rx.recv().unwrap().usage.completion_tokens; }
        println!("threads {threads} requests {n}: {tot} tokens in {:?}", s.elapsed());
        drop(g);
    }
}
