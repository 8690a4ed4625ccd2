// Uses every native once, so that a system call which one of them needs and the sandbox forbids is found.
const bytes = (length) => crypto.getRandomValues(new Uint8Array(length));

async function keys() {
  const { subtle } = crypto;
  for (const hash of ["SHA-1", "SHA-256", "SHA-384", "SHA-512"]) await subtle.digest(hash, bytes(100));
  const hmac = await subtle.generateKey({ name: "HMAC", hash: "SHA-256" }, true, ["sign", "verify"]);
  await subtle.verify("HMAC", hmac, await subtle.sign("HMAC", hmac, bytes(10)), bytes(10));
  for (const name of ["AES-GCM", "AES-CBC", "AES-CTR"]) {
    const key = await subtle.generateKey({ name, length: 256 }, true, ["encrypt", "decrypt"]);
    const how = { name, iv: bytes(name === "AES-GCM" ? 12 : 16), counter: bytes(16), length: 64 };
    await subtle.decrypt(how, key, await subtle.encrypt(how, key, bytes(100)));
    await subtle.exportKey("jwk", key);
  }
  const rsa = { name: "RSASSA-PKCS1-v1_5", modulusLength: 2048, publicExponent: new Uint8Array([1, 0, 1]), hash: "SHA-256" };
  const pair = await subtle.generateKey(rsa, true, ["sign", "verify"]);
  await subtle.sign(rsa.name, pair.privateKey, bytes(10));
  await subtle.exportKey("pkcs8", pair.privateKey);
  const ecdsa = await subtle.generateKey({ name: "ECDSA", namedCurve: "P-256" }, true, ["sign", "verify"]);
  await subtle.sign({ name: "ECDSA", hash: "SHA-256" }, ecdsa.privateKey, bytes(10));
  const ed = await subtle.generateKey("Ed25519", true, ["sign", "verify"]);
  await subtle.sign("Ed25519", ed.privateKey, bytes(10));
  const x = await subtle.generateKey("X25519", true, ["deriveBits"]);
  await subtle.deriveBits({ name: "X25519", public: x.publicKey }, x.privateKey, 256);
  const secret = await subtle.importKey("raw", bytes(16), "PBKDF2", false, ["deriveBits"]);
  await subtle.deriveBits({ name: "PBKDF2", hash: "SHA-256", salt: bytes(16), iterations: 1000 }, secret, 256);
  crypto.randomUUID();
}

async function texts() {
  new TextDecoder("shift_jis").decode(bytes(100));
  new TextDecoder("utf-16le").decode(new TextEncoder().encode("abc\u{1f600}"));
  atob(btoa("hello"));
  new URL("../a?b=c#d", "https://ex\u00e4mple.org/x/y").searchParams.append("e", "f");
  new URLPattern({ pathname: "/a/:b" }).exec("https://a.example/a/c");
  structuredClone(new Map([[1, { date: new Date(), set: new Set([1n]) }]]));
  const form = new FormData();
  form.append("file", new File([bytes(1000)], "a.bin"));
  await new Response(form).formData();
  await new Blob([new Uint8Array(100_000)]).text();
  console.table([{ a: 1 }]);
  console.log(new Error("logged"), Symbol("s"), [new Map()]);
}

async function flows() {
  const { readable, writable } = new TransformStream();
  const writer = writable.getWriter();
  writer.write(new Uint8Array(70_000)).then(() => writer.close());
  await new Response(readable).arrayBuffer();
  await new Promise((done) => setTimeout(done, 5));
  await new Promise((done) => queueMicrotask(done));
  performance.now();
  const answer = await fetch("https://a.example/", { method: "POST", body: new Uint8Array(100_000) });
  if ((await answer.text()) !== "https://a.example/") throw new Error("fetch");
  const big = [];
  for (let at = 0; at < 100; at++) big.push(new Uint8Array(200_000).fill(at), "x".repeat(100_000) + at);
  JSON.parse(JSON.stringify(big.filter((part) => typeof part === "string")));
  const deep = (depth) => (depth ? deep(depth - 1) + 1 : 0);
  try {
    deep(1e6);
  } catch {
    // The stack has an end.
  }
  /(a+)+$/.test("a".repeat(20) + "b");
}

export default {
  async fetch() {
    await keys();
    await texts();
    await flows();
    return new Response("all done");
  },
};
