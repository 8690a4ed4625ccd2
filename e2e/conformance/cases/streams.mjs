import { bytes, later, readAll, show, thrown } from "./tools.mjs";

const of = (...parts) => new ReadableStream({ start(controller) { parts.forEach((part) => controller.enqueue(part)); controller.close(); } });

export default {
  "what is enqueued is read in order": () => readAll(of(1, "b", { c: 3 })),
  "pull is called while there is room"() {
    let count = 0;
    const stream = new ReadableStream({ pull(controller) { controller.enqueue(++count); if (count === 5) controller.close(); } });
    return readAll(stream);
  },
  async "nothing is pulled with a high-water mark of 0 before a read"() {
    let pulled = 0;
    const stream = new ReadableStream({ pull(controller) { pulled++; controller.enqueue("x"); } }, { highWaterMark: 0 });
    await later(1);
    const before = pulled;
    const { value } = await stream.getReader().read();
    return [before, value, pulled];
  },
  async "desiredSize counts down"() {
    const sizes = [];
    new ReadableStream({ start(controller) { for (let i = 0; i < 4; i++) { sizes.push(controller.desiredSize); controller.enqueue(i); } sizes.push(controller.desiredSize); } }, { highWaterMark: 3 });
    return sizes;
  },
  async "a size function weighs chunks"() {
    const sizes = [];
    new ReadableStream({ start(controller) { sizes.push(controller.desiredSize); controller.enqueue("four"); sizes.push(controller.desiredSize); } }, { highWaterMark: 10, size: (chunk) => chunk.length });
    return sizes;
  },
  "strategies of the standard": () => [new CountQueuingStrategy({ highWaterMark: 4 }).size("xyz"), new ByteLengthQueuingStrategy({ highWaterMark: 4 }).size(bytes("xyz")), new CountQueuingStrategy({ highWaterMark: 4 }).highWaterMark],
  async "an error reaches the reader"() {
    const reader = new ReadableStream({ start(controller) { controller.enqueue(1); controller.error(new RangeError("r")); } }).getReader();
    return [await thrown(() => reader.read()), await thrown(() => reader.closed)];
  },
  async "a source that throws in pull errors the stream"() {
    const reader = new ReadableStream({ pull() { throw new SyntaxError("s"); } }).getReader();
    return thrown(() => reader.read());
  },
  async "cancel reaches the source with its reason"() {
    let reason;
    const stream = new ReadableStream({ cancel(why) { reason = why; } });
    await stream.cancel("enough");
    return [reason, (await stream.getReader().read()).done];
  },
  async "a locked stream can't be locked or cancelled"() {
    const stream = of(1);
    stream.getReader();
    return [stream.locked, await thrown(() => stream.getReader()), await thrown(() => stream.cancel())];
  },
  async "a released reader rejects"() {
    const stream = of(1, 2);
    const reader = stream.getReader();
    await reader.read();
    reader.releaseLock();
    const second = stream.getReader();
    return [stream.locked, await thrown(() => reader.read()), (await second.read()).value];
  },
  async "tee gives both all"() {
    const [a, b] = of(1, 2, 3).tee();
    return Promise.all([readAll(a), readAll(b)]);
  },
  async "cancelling both branches of tee cancels the source"() {
    let reason;
    const [a, b] = new ReadableStream({ cancel(why) { reason = why; } }).tee();
    const first = a.cancel("a");
    await b.cancel("b");
    await first;
    return reason;
  },
  async "leaving a loop early cancels"() {
    let cancelled = false;
    const stream = new ReadableStream({ pull(controller) { controller.enqueue(1); }, cancel() { cancelled = true; } });
    for await (const _ of stream) break;
    return [cancelled, stream.locked];
  },
  async "values with preventCancel leaves it"() {
    const stream = of(1, 2, 3);
    for await (const _ of stream.values({ preventCancel: true })) break;
    return (await stream.getReader().read()).value;
  },
  async "ReadableStream.from takes iterables of both kinds"() {
    async function* slowly() { yield "a"; await later(1); yield "b"; }
    return [await readAll(ReadableStream.from([1, 2])), await readAll(ReadableStream.from(slowly()))];
  },
  "enqueue after close throws"() {
    let error;
    new ReadableStream({ start(controller) { controller.close(); try { controller.enqueue(1); } catch (caught) { error = caught; } } });
    return show(error);
  },
  async "closing waits for what is queued"() {
    const reader = of(1).getReader();
    const read = [await reader.read(), await reader.read()];
    return read;
  },
  async "a byte stream fills the reader's buffer"() {
    const stream = new ReadableStream({ type: "bytes", start(controller) { controller.enqueue(bytes("hello")); controller.close(); } });
    const reader = stream.getReader({ mode: "byob" });
    const first = await reader.read(new Uint8Array(3));
    const second = await reader.read(new Uint8Array(3));
    return [first.value, second.value, (await reader.read(new Uint8Array(1))).done];
  },
  async "a byte stream's source may answer the reader's request"() {
    const stream = new ReadableStream({ type: "bytes", pull(controller) { const view = controller.byobRequest.view; view[0] = 7; controller.byobRequest.respond(1); } });
    const { value } = await stream.getReader({ mode: "byob" }).read(new Uint8Array(4));
    return [value.length, value[0]];
  },
  async "a buffer that was read into is detached"() {
    const stream = new ReadableStream({ type: "bytes", start(controller) { controller.enqueue(bytes("x")); } });
    const view = new Uint8Array(2);
    await stream.getReader({ mode: "byob" }).read(view);
    return view.byteLength;
  },
  "constructors check what they get": async () => [
    await thrown(() => new ReadableStream({ type: "other" })),
    await thrown(() => new ReadableStream({}, { highWaterMark: -1 })),
    await thrown(() => new ReadableStream({ pull: 1 })),
    await thrown(() => of(1).getReader({ mode: "other" })),
    await thrown(() => new ReadableStreamDefaultReader({})),
  ],
};
