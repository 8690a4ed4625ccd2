const read = async (stream) => {
  const chunks = [];
  for await (const chunk of stream) chunks.push(chunk);
  return chunks;
};
const of = (...chunks) =>
  new ReadableStream({
    start(controller) {
      for (const chunk of chunks) controller.enqueue(chunk);
      controller.close();
    },
  });

test("a stream gives what was put into it", async () => {
  equal(await read(of(1, 2, 3)), [1, 2, 3]);
  equal(await read(ReadableStream.from(["a", "b"])), ["a", "b"]);
});

test("pull is called as much as there is room", async () => {
  let pulled = 0;
  const stream = new ReadableStream(
    {
      pull(controller) {
        controller.enqueue(pulled++);
      },
    },
    { highWaterMark: 3 },
  );
  await sleep(1);
  equal(pulled, 3);
  const reader = stream.getReader();
  equal((await reader.read()).value, 0);
  await sleep(1);
  equal(pulled, 4);
});

test("tee gives the same twice", async () => {
  const [a, b] = of("x", "y").tee();
  equal(
    [await read(a), await read(b)],
    [
      ["x", "y"],
      ["x", "y"],
    ],
  );
});

test("pipes transform", async () => {
  const upper = new TransformStream({
    transform: (chunk, controller) => controller.enqueue(chunk.toUpperCase()),
    flush: (controller) => controller.enqueue("!"),
  });
  equal(await read(of("a", "b").pipeThrough(upper)), ["A", "B", "!"]);
  const written = [];
  await of(1, 2).pipeTo(
    new WritableStream({ write: (chunk) => void written.push(chunk), close: () => void written.push("end") }),
  );
  equal(written, [1, 2, "end"]);
});

test("cancel reaches the source, abort the sink", async () => {
  const seen = [];
  const stream = new ReadableStream({ cancel: (reason) => void seen.push(reason) });
  await stream.cancel("enough");
  const sink = new WritableStream({ abort: (reason) => void seen.push(reason) });
  await sink.abort("stop");
  equal(seen, ["enough", "stop"]);
});

test("errors go through pipes", async () => {
  const broken = new ReadableStream({ start: (controller) => controller.error(new RangeError("x")) });
  await rejects(RangeError, read(broken.pipeThrough(new TransformStream())));
  const sink = new WritableStream({
    write() {
      throw new RangeError("full");
    },
  });
  await rejects(RangeError, of(1, 2).pipeTo(sink));
});

test("a signal stops a pipe", async () => {
  const controller = new AbortController();
  const endless = new ReadableStream({ pull: (c) => sleep(1).then(() => c.enqueue(1)) });
  const pipe = endless.pipeTo(new WritableStream(), { signal: controller.signal });
  controller.abort();
  await rejects("AbortError", pipe);
});

test("writers feel the pressure", async () => {
  let release;
  const sink = new WritableStream(
    { write: () => new Promise((resolve) => (release = resolve)) },
    new CountQueuingStrategy({ highWaterMark: 2 }),
  );
  const writer = sink.getWriter();
  await writer.ready;
  equal(writer.desiredSize, 2);
  writer.write(1);
  writer.write(2);
  equal(writer.desiredSize, 0);
  await sleep(1);
  release();
  await writer.ready;
  equal(writer.desiredSize, 1);
});

test("byte streams are read into one's own buffers", async () => {
  const stream = new ReadableStream({
    type: "bytes",
    pull(controller) {
      const view = controller.byobRequest?.view;
      if (!view) return controller.enqueue(new Uint8Array([9]));
      view[0] = 7;
      controller.byobRequest.respond(1);
    },
  });
  const reader = stream.getReader({ mode: "byob" });
  const { value, done } = await reader.read(new Uint8Array(4));
  equal([[...value], value.buffer.byteLength, done], [[7], 4, false]);
});

test("a response's body is a byte stream", async () => {
  const reader = new Response("abcdef").body.getReader({ mode: "byob" });
  const first = await reader.read(new Uint8Array(4));
  const second = await reader.read(new Uint8Array(4));
  const third = await reader.read(new Uint8Array(4));
  equal(
    [new TextDecoder().decode(first.value), new TextDecoder().decode(second.value), third.done],
    ["abcd", "ef", true],
  );
});

test("sizes are counted by their strategies", () => {
  equal(new ByteLengthQueuingStrategy({ highWaterMark: 8 }).size(new Uint8Array(3)), 3);
  equal(new CountQueuingStrategy({ highWaterMark: 8 }).size("any"), 1);
  throws(TypeError, () => new CountQueuingStrategy({}));
});

test("a locked stream has one reader", async () => {
  const stream = of(1);
  const reader = stream.getReader();
  ok(stream.locked);
  throws(TypeError, () => stream.getReader());
  reader.releaseLock();
  ok(!stream.locked);
  equal(await read(stream), [1]);
});
