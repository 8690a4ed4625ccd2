const all = async (make) => {
  const seen = {};
  for (const kind of ["text", "arrayBuffer", "bytes", "blob"]) {
    const read = await make()[kind]();
    seen[kind] =
      typeof read === "string"
        ? read
        : new TextDecoder().decode(read instanceof Blob ? await read.bytes() : read);
  }
  return Object.values(seen);
};

test("a body is read in each way", async () => {
  const inits = {
    string: () => "héllo",
    bytes: () => bytesOf("héllo"),
    buffer: () => bytesOf("héllo").buffer,
    view: () => new DataView(bytesOf("héllo").buffer),
    blob: () => new Blob(["hé", "llo"]),
    stream: () => new Blob(["héllo"]).stream(),
  };
  for (const [name, init] of Object.entries(inits)) {
    equal(await all(() => new Response(init())), Array(4).fill("héllo"), name);
    equal(
      await all(() => new Request("https://a.b", { method: "POST", body: init() })),
      Array(4).fill("héllo"),
      name,
    );
  }
});

test("a body gives a type, unless one is set", async () => {
  const type = (body, headers) => new Response(body, { headers }).headers.get("content-type");
  equal(type("x"), "text/plain;charset=UTF-8");
  equal(type(new URLSearchParams("a=b")), "application/x-www-form-urlencoded;charset=UTF-8");
  equal(type(new Blob(["x"], { type: "image/PNG" })), "image/png");
  equal(type(new Blob(["x"])), null);
  equal(type(bytesOf("x")), null);
  ok(/^multipart\/form-data; ?boundary=.+/.test(type(new FormData())));
  equal(type("x", { "content-type": "a/b" }), "a/b");
  equal(type(null), null);
});

test("a body is read once", async () => {
  const response = new Response("x");
  equal(response.bodyUsed, false);
  await response.text();
  equal(response.bodyUsed, true);
  await rejects(TypeError, response.text());
  await rejects(TypeError, response.json());
  throws(TypeError, () => response.clone());
  throws(TypeError, () => new Response(response.body));
});

test("no body is an empty one that is never used", async () => {
  const response = new Response();
  equal(response.body, null);
  equal(await response.text(), "");
  equal(response.bodyUsed, false);
  equal((await response.arrayBuffer()).byteLength, 0);
  await rejects(SyntaxError, new Response().json());
});

test("JSON of a body is parsed", async () => {
  equal(await new Response('\ufeff{"a":[1]}').json(), { a: [1] });
  await rejects(SyntaxError, new Response("{").json());
});

test("a body's text has no byte order mark, and no malformed UTF-8", async () => {
  equal(await new Response(new Uint8Array([0xef, 0xbb, 0xbf, 0x61, 0xff])).text(), "a\ufffd");
  equal(await new Response("\ud800").text(), "\ufffd");
});

test("bytes are a copy", async () => {
  const bytes = bytesOf("abc");
  const response = new Response(bytes);
  bytes[0] = 0;
  equal(await response.text(), "abc");
  const blob = new Blob(["abc"]);
  new Uint8Array(await blob.arrayBuffer())[0] = 0;
  equal(await blob.text(), "abc");
});

test("clones are read apart", async () => {
  for (const body of ["text", new Blob(["text"]).stream()]) {
    const response = new Response(body, { status: 201, headers: { a: "b" } });
    const clone = response.clone();
    equal([await clone.text(), await response.text()], ["text", "text"]);
    equal([clone.status, clone.headers.get("a")], [201, "b"]);
    clone.headers.set("a", "c");
    equal(response.headers.get("a"), "b");
  }
});

test("a body is a stream of bytes", async () => {
  const response = new Response("some text");
  ok(response.body instanceof ReadableStream);
  ok(response.body === response.body);
  let text = "";
  for await (const piece of response.body) {
    ok(piece instanceof Uint8Array);
    text += new TextDecoder().decode(piece);
  }
  equal(text, "some text");
  equal(response.bodyUsed, true);
});

test("a body's stream is locked while it is read", async () => {
  const response = new Response("x");
  const reader = response.body.getReader();
  equal(response.bodyUsed, false);
  await rejects(TypeError, response.text());
  throws(TypeError, () => response.clone());
  await reader.read();
  equal(response.bodyUsed, true);
});

test("a stream that a body is made of passes its bytes and its errors on", async () => {
  const from = (...chunks) =>
    new ReadableStream({
      start(controller) {
        for (const chunk of chunks) controller.enqueue(chunk);
        controller.close();
      },
    });
  equal(await new Response(from(bytesOf("a"), bytesOf("b"))).text(), "ab");
  await rejects(TypeError, new Response(from("text")).text());
  const broken = new ReadableStream({
    pull(controller) {
      controller.error(new RangeError("broken"));
    },
  });
  await rejects(RangeError, new Response(broken).text());
  const used = from(bytesOf("a"));
  await used.getReader().read();
  throws(TypeError, () => new Response(used));
});

test("a large body comes whole through its stream", async () => {
  const bytes = new Uint8Array(300_000).map((_, i) => i % 251);
  let length = 0;
  for await (const piece of new Response(bytes).body) length += piece.length;
  equal(length, bytes.length);
  const back = await new Response(new Response(bytes).body).bytes();
  ok(back.every((byte, i) => byte === i % 251));
});

test("forms come back from their own bodies", async () => {
  const form = new FormData();
  form.append("text", "va\nlue");
  form.append('na"me\r\n', "x");
  form.append("file", new File(["content"], 'fi"le.txt', { type: "text/css" }));
  const response = new Response(form);
  const read = await response.formData();
  equal(read.get("text"), "va\r\nlue");
  equal(read.get('na"me\r\n'), "x");
  const file = read.get("file");
  equal([file.name, file.type, await file.text()], ['fi"le.txt', "text/css", "content"]);
  equal([...read.keys()].length, 3);
});

test("urlencoded forms are read", async () => {
  const form = await new Response(
    new URLSearchParams([
      ["a", "1 +&"],
      ["a", "2"],
      ["ü", "€"],
    ]),
  ).formData();
  equal(
    [...form],
    [
      ["a", "1 +&"],
      ["a", "2"],
      ["ü", "€"],
    ],
  );
});

test("other bodies are no forms", async () => {
  await rejects(TypeError, new Response("a=b").formData());
  await rejects(
    TypeError,
    new Response("x", { headers: { "content-type": "multipart/form-data" } }).formData(),
  );
  await rejects(
    TypeError,
    new Response("x", { headers: { "content-type": "multipart/form-data; boundary=y" } }).formData(),
  );
});
