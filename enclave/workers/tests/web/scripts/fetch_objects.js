test("a request has what it was made of", async () => {
  const request = new Request("https://example.com/a?b#c", {
    method: "post",
    headers: { x: "y" },
    body: "text",
    redirect: "manual",
  });
  equal(
    [request.method, request.url, request.headers.get("x"), request.redirect],
    ["POST", "https://example.com/a?b#c", "y", "manual"],
  );
  equal(request.headers.get("content-type"), "text/plain;charset=UTF-8");
  equal([request.bodyUsed, await request.text(), request.bodyUsed], [false, "text", true]);
  ok(request.signal instanceof AbortSignal);
});

test("methods are normalized and checked", () => {
  const method = (method) => new Request("https://a.b", { method }).method;
  equal(["get", "Delete", "pUt", "options", "head"].map(method), ["GET", "DELETE", "PUT", "OPTIONS", "HEAD"]);
  equal(method("patch"), "patch");
  equal(method("chicken"), "chicken");
  for (const wrong of ["", "a b", "CONNECT", "trace", "TRACK", "é"]) throws(TypeError, () => method(wrong));
});

test("what is no request is refused", () => {
  for (const url of ["", "/relative", "http://", "https://user:pass@a.b", "https://user@a.b"]) {
    throws(TypeError, () => new Request(url));
  }
  throws(TypeError, () => new Request("https://a.b", { body: "x" }));
  throws(TypeError, () => new Request("https://a.b", { method: "HEAD", body: "x" }));
  throws(TypeError, () => new Request("https://a.b", { redirect: "sometimes" }));
  throws(TypeError, () => new Request("https://a.b", { signal: {} }));
  throws(TypeError, () => new Request("https://a.b", 1));
  throws(TypeError, () => new Request());
});

test("a request of a request takes its body over", async () => {
  const first = new Request("https://a.b", { method: "POST", body: "text", headers: { a: "1" } });
  const second = new Request(first, { headers: { b: "2" } });
  equal([second.method, second.headers.get("a"), second.headers.get("b")], ["POST", null, "2"]);
  equal([first.bodyUsed, await second.text()], [true, "text"]);
  throws(TypeError, () => new Request(first));
  const third = new Request("https://a.b", {
    method: "POST",
    body: new Blob(["streamed"]).stream(),
    duplex: "half",
  });
  equal(await new Request(third).text(), "streamed");
  equal(third.bodyUsed, true);
});

test("a clone of a request has everything", async () => {
  const request = new Request("https://a.b", { method: "PUT", body: "text", headers: { a: "1" } });
  const clone = request.clone();
  equal(
    [clone.method, clone.url, clone.headers.get("a"), await clone.text(), await request.text()],
    ["PUT", "https://a.b/", "1", "text", "text"],
  );
});

test("a request follows its signal", () => {
  const controller = new AbortController();
  const request = new Request("https://a.b", { signal: controller.signal });
  const copy = new Request(request);
  controller.abort("why");
  equal([request.signal.aborted, copy.signal.aborted, copy.signal.reason], [true, true, "why"]);
});

test("a response has what it was made of", async () => {
  const response = new Response("text", { status: 404, statusText: "Nö", headers: [["a", "b"]] });
  equal(
    [
      response.status,
      response.statusText,
      response.ok,
      response.headers.get("a"),
      response.type,
      response.url,
      response.redirected,
    ],
    [404, "Nö", false, "b", "default", "", false],
  );
  equal([new Response().status, new Response().ok, new Response(undefined).body], [200, true, null]);
});

test("what is no response is refused", () => {
  for (const status of [0, 100, 101, 199, 600, 1000, "x", NaN])
    throws(RangeError, () => new Response(null, { status }));
  for (const status of [204, 205, 304]) {
    equal(new Response(null, { status }).status, status);
    throws(TypeError, () => new Response("x", { status }));
  }
  throws(TypeError, () => new Response(null, { statusText: "a\nb" }));
  throws(TypeError, () => new Response(null, { statusText: "€" }));
  throws(TypeError, () => new Response(null, { headers: { "a b": "c" } }));
});

test("Response.json", async () => {
  const response = Response.json({ a: 1 }, { status: 201, headers: { x: "y" } });
  equal(
    [response.status, response.headers.get("content-type"), response.headers.get("x"), await response.text()],
    [201, "application/json", "y", '{"a":1}'],
  );
  equal(Response.json(1, { headers: { "content-type": "a/b" } }).headers.get("content-type"), "a/b");
  throws(TypeError, () => Response.json(undefined));
  throws(TypeError, () => Response.json(() => {}));
});

test("Response.redirect", () => {
  const response = Response.redirect("https://example.com/ü", 301);
  equal([response.status, response.headers.get("location")], [301, "https://example.com/%C3%BC"]);
  equal(Response.redirect("https://example.com").status, 302);
  throws(RangeError, () => Response.redirect("https://example.com", 200));
  throws(TypeError, () => Response.redirect("http://:"));
  throws(TypeError, () => response.headers.set("a", "b"));
});

test("Response.error", () => {
  const response = Response.error();
  equal([response.type, response.status, response.body], ["error", 0, null]);
  throws(TypeError, () => response.headers.append("a", "b"));
});

test("data: URLs are fetched", async () => {
  const get = async (url) => {
    const response = await fetch(url);
    return [response.status, response.headers.get("content-type"), await response.text()];
  };
  equal(await get("data:,a%20b%zz"), [200, "text/plain;charset=US-ASCII", "a b%zz"]);
  equal(await get("data:text/html;charset=utf-8,<b>é#frag"), [200, "text/html;charset=utf-8", "<b>é"]);
  equal(await get("data:application/json;base64,eyJhIjoxfQ=="), [200, "application/json", '{"a":1}']);
  await rejects(TypeError, fetch("data:x"));
  await rejects(TypeError, fetch("data:;base64,a"));
});

test("other schemes aren't fetched", async () => {
  for (const url of [
    "ftp://example.com/",
    "file:///etc/passwd",
    "about:blank",
    "blob:x",
    "javascript:1",
    "nonsense",
  ]) {
    await rejects(TypeError, fetch(url));
  }
});

test("an aborted signal stops a fetch before it begins", async () => {
  await rejects("AbortError", fetch("https://example.com", { signal: AbortSignal.abort() }));
  const reason = new RangeError("mine");
  await rejects(RangeError, fetch("https://example.com", { signal: AbortSignal.abort(reason) }));
});
