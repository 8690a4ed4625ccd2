const NAMES =
  `AbortController AbortSignal Blob ByteLengthQueuingStrategy CountQueuingStrategy CustomEvent DOMException
  ErrorEvent Event EventTarget File FormData Headers PromiseRejectionEvent ReadableByteStreamController ReadableStream
  ReadableStreamBYOBReader ReadableStreamBYOBRequest ReadableStreamDefaultController ReadableStreamDefaultReader Request
  Response TextDecoder TextDecoderStream TextEncoder TextEncoderStream TransformStream TransformStreamDefaultController URL
  URLPattern URLSearchParams WritableStream WritableStreamDefaultController WritableStreamDefaultWriter Performance`.split(
    /\s+/,
  );

test("each interface is a global that isn't enumerable, and names its objects", () => {
  for (const name of NAMES) {
    const interface_ = globalThis[name];
    equal(typeof interface_, "function", name);
    equal(interface_.name, name);
    equal(interface_.prototype[Symbol.toStringTag], name);
    const descriptor = Object.getOwnPropertyDescriptor(globalThis, name);
    equal([descriptor.writable, descriptor.enumerable, descriptor.configurable], [true, false, true], name);
    ok("value" in descriptor, name);
  }
});

test("functions of the global object are there", () => {
  for (const name of [
    "atob",
    "btoa",
    "setTimeout",
    "setInterval",
    "clearTimeout",
    "clearInterval",
    "queueMicrotask",
    "structuredClone",
    "fetch",
    "reportError",
    "addEventListener",
    "removeEventListener",
    "dispatchEvent",
  ]) {
    equal(typeof globalThis[name], "function", name);
    equal(globalThis[name].name, name);
  }
  equal(self === globalThis, true);
  equal(typeof navigator.userAgent, "string");
});

test("members of interfaces are enumerable", () => {
  for (const [name, member] of [
    ["Headers", "get"],
    ["Request", "url"],
    ["Response", "status"],
    ["URL", "href"],
    ["Event", "type"],
    ["Blob", "size"],
    ["Response", "json"],
    ["Request", "body"],
    ["AbortSignal", "onabort"],
  ]) {
    ok(Object.getOwnPropertyDescriptor(globalThis[name].prototype, member).enumerable, `${name}.${member}`);
  }
  ok(Object.getOwnPropertyDescriptor(Response, "json").enumerable);
});

test("interfaces of the web aren't functions to call", () => {
  for (const name of [
    "Headers",
    "Request",
    "Response",
    "URL",
    "Event",
    "Blob",
    "TextDecoder",
    "ReadableStream",
    "FormData",
  ]) {
    throws(TypeError, () => globalThis[name]());
  }
  for (const name of ["AbortSignal", "Performance"]) throws(TypeError, () => new globalThis[name]());
});

test("getters of interfaces refuse other objects", () => {
  for (const [interface_, member] of [
    [Headers, "keys"],
    [Request, "url"],
    [Response, "status"],
    [URL, "href"],
    [Event, "type"],
    [Blob, "size"],
    [AbortSignal, "aborted"],
    [Response, "bodyUsed"],
  ]) {
    const { get, value } = Object.getOwnPropertyDescriptor(interface_.prototype, member);
    throws(TypeError, () => {
      const result = (get ?? value).call({});
      if (typeof result?.next === "function") result.next();
    });
  }
});

test("a DOMException is an Error with a name and a code", () => {
  const error = new DOMException("text", "AbortError");
  equal([error.name, error.message, error.code, error instanceof Error], ["AbortError", "text", 20, true]);
  equal(new DOMException("x").name, "Error");
  equal(new DOMException("x", "DataCloneError").code, 25);
  equal(DOMException.ABORT_ERR, 20);
  equal(String(error), "AbortError: text");
});

test("microtasks run before timers, in their order", async () => {
  const order = [];
  setTimeout(() => order.push("timer"), 0);
  queueMicrotask(() => order.push("micro"));
  Promise.resolve().then(() => order.push("promise"));
  await sleep(5);
  equal(order, ["micro", "promise", "timer"]);
  throws(TypeError, () => queueMicrotask(1));
});

test("the clock shows whole milliseconds", async () => {
  const start = performance.now();
  ok(Number.isInteger(start));
  await sleep(20);
  const passed = performance.now() - start;
  ok(passed >= 19 && passed < 60_000, `${passed}`);
  const [before, now, after] = [Date.now(), performance.timeOrigin + performance.now(), Date.now()];
  ok(now > before - 1000 && now < after + 1000, `${before} ${now} ${after}`);
  ok(performance instanceof EventTarget);
});
