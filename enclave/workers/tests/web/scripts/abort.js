test("a controller aborts its signal once", () => {
  const controller = new AbortController();
  const { signal } = controller;
  let count = 0;
  signal.addEventListener("abort", () => count++);
  signal.onabort = (event) => {
    ok(event.isTrusted);
    count++;
  };
  equal([signal.aborted, signal.reason], [false, undefined]);
  signal.throwIfAborted();
  controller.abort();
  controller.abort("other");
  equal([signal.aborted, signal.reason.name, count], [true, "AbortError", 2]);
  throws("AbortError", () => signal.throwIfAborted());
  ok(controller.signal === signal);
});

test("a reason is kept as it is", () => {
  const controller = new AbortController();
  controller.abort(7);
  equal(controller.signal.reason, 7);
  equal(AbortSignal.abort(null).reason, null);
  equal(AbortSignal.abort().reason.name, "AbortError");
});

test("timeouts abort", async () => {
  const signal = AbortSignal.timeout(5);
  equal(signal.aborted, false);
  await new Promise((resolve) => signal.addEventListener("abort", resolve));
  equal([signal.aborted, signal.reason.name], [true, "TimeoutError"]);
  for (const wrong of [-1, NaN, Infinity, "x"]) throws(TypeError, () => AbortSignal.timeout(wrong));
});

test("any of several signals aborts", () => {
  const [a, b] = [new AbortController(), new AbortController()];
  const both = AbortSignal.any([a.signal, b.signal]);
  const nested = AbortSignal.any([both]);
  b.abort("b");
  a.abort("a");
  equal([both.aborted, both.reason, nested.reason], [true, "b", "b"]);
  equal(AbortSignal.any([AbortSignal.abort(1), AbortSignal.abort(2)]).reason, 1);
  equal(AbortSignal.any([]).aborted, false);
  throws(TypeError, () => AbortSignal.any([1]));
});

test("a handler may be replaced and taken back", () => {
  const controller = new AbortController();
  const seen = [];
  controller.signal.onabort = () => seen.push(1);
  controller.signal.onabort = () => seen.push(2);
  equal(typeof controller.signal.onabort, "function");
  controller.abort();
  equal(seen, [2]);
  const other = new AbortController();
  other.signal.onabort = () => seen.push(3);
  other.signal.onabort = null;
  equal(other.signal.onabort, null);
  other.abort();
  equal(seen, [2]);
});
