import { bytes, readAll, thrown } from "./tools.mjs";

const post = (body, init) => new Request("http://a.example/", { method: "POST", body, ...init });

export default {
  "a request has its defaults"() {
    const { method, url, redirect, bodyUsed, body } = new Request("http://a.example/x#y");
    return { method, url, redirect, bodyUsed, body };
  },
  "methods of the standard are upper case": () => ["get", "post", "put", "delete", "head", "options", "patch", "Chicken"].map((method) => new Request("http://a.example", { method }).method),
  "forbidden methods are refused": () => Promise.all(["TRACE", "CONNECT", "a b", ""].map((method) => thrown(() => new Request("http://a.example", { method })))),
  "GET has no body": () => thrown(() => new Request("http://a.example", { body: "x" })),
  "a request of another takes its parts"() {
    const first = post("text", { headers: { a: "b" } });
    const second = new Request(first, { headers: { c: "d" } });
    return [second.method, [...second.headers], first.bodyUsed];
  },
  "bodies say what they are": () => Promise.all(["text", new URLSearchParams("a=1"), new Blob(["x"], { type: "a/b" }), bytes("x"), new FormData()].map((body) => post(body).headers.get("content-type")?.split(";")[0] ?? null)),
  "a body is read once": async () => { const request = post("x"); const value = await request.text(); return [value, request.bodyUsed, await thrown(() => request.text())]; },
  "clone before reading": async () => { const request = post("x"); const copy = request.clone(); return [await request.text(), await copy.text()]; },
  "clone after reading": async () => { const request = post("x"); await request.text(); return thrown(() => request.clone()); },
  "every reader of a body": async () => [
    await post('{"a":1}').json(), await post("x").arrayBuffer(), await post("x").bytes(), await (await post("xy").blob()).text(),
    [...(await post(new URLSearchParams("a=1&b=2")).formData())],
  ],
  "json that is none": () => thrown(() => post("{").json()),
  "a stream as body": async () => post(ReadableStream.from([bytes("a"), bytes("b")]), { duplex: "half" }).text(),
  "a stream of text as body is refused": () => thrown(() => new Response(ReadableStream.from(["text"])).text()),
  "a response has its defaults"() {
    const { status, statusText, ok, type, url, redirected, body } = new Response();
    return { status, statusText, ok, type, url, redirected, body };
  },
  "statuses are bounded": () => Promise.all([199, 200, 599, 600].map((status) => thrown(() => new Response(null, { status })))),
  "no body with 204": () => Promise.all([204, 205, 304].map((status) => thrown(() => new Response("x", { status })))),
  "a reason phrase is checked": () => Promise.all(["fine", "a\nb", "ü"].map((statusText) => thrown(() => new Response("", { statusText })))),
  "Response.json": async () => { const response = Response.json({ a: [1] }, { status: 201 }); return [response.status, response.headers.get("content-type"), await response.text()]; },
  "Response.json of nothing": () => thrown(() => Response.json(undefined)),
  "Response.error": () => { const { type, status } = Response.error(); return [type, status]; },
  "Response.redirect": async () => { const response = Response.redirect("http://a.example/b", 303); return [response.status, response.headers.get("location"), await thrown(() => Response.redirect("http://a.example", 200))]; },
  "a body is a stream of bytes": async () => (await readAll(new Response("héllo").body)).flatMap((part) => [...part]),
  "an empty body": async () => [await new Response().text(), await new Response("").text(), new Response("").body === null],
  "a multipart form and back": async () => {
    const form = new FormData();
    form.append("a", "1");
    form.append("a", "line\nbreak");
    form.append("f", new File(["content"], "näme \"q\".txt", { type: "text/x" }));
    const again = await new Response(form).formData();
    const file = again.get("f");
    return [again.getAll("a"), file.name, file.type, await file.text()];
  },
  "a form is read of what a browser sends": async () => {
    const body = '--x\r\nContent-Disposition: form-data; name="a%22b"\r\n\r\nvalue\r\n--x\r\nContent-Disposition: form-data; name="f"; filename="a.bin"\r\nContent-Type: application/x\r\n\r\n\x01\x02\r\n--x--\r\n';
    const form = await new Response(body, { headers: { "content-type": "multipart/form-data; boundary=x" } }).formData();
    return [[...form.keys()], form.get("f").name, form.get("f").type, form.get("f").size];
  },
  "a form that is none": () => thrown(() => new Response("x", { headers: { "content-type": "text/plain" } }).formData()),
  "FormData as a list"() {
    const form = new FormData();
    form.append("a", "1");
    form.append("b", "2");
    form.append("a", "3");
    form.set("a", "4");
    form.delete("b");
    form.append("c", 5);
    return [[...form], form.has("b"), form.get("c")];
  },
  "fetch of a data URL": async () => { const response = await fetch("data:text/plain;base64,aGk="); return [response.status, response.headers.get("content-type"), await response.text()]; },
  "fetch of nonsense": () => Promise.all(["no url", "other://x"].map((url) => thrown(() => fetch(url)))),
  "an aborted fetch": () => thrown(() => fetch("http://127.0.0.1:1/", { signal: AbortSignal.abort() })),
  "an aborted fetch with a reason": () => thrown(() => fetch("http://127.0.0.1:1/", { signal: AbortSignal.abort(new RangeError("r")) })),
  "a request's signal follows"() { const controller = new AbortController(); const request = new Request("http://a.example", { signal: controller.signal }); controller.abort(); return request.signal.aborted; },
  "tags": () => [new Request("http://a.example"), new Response(), new Headers(), new FormData()].map((each) => Object.prototype.toString.call(each)),
};
