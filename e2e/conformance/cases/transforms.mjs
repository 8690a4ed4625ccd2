import { bytes, later, readAll, thrown } from "./tools.mjs";

const of = (...parts) => ReadableStream.from(parts);

export default {
  "a transform maps chunks": () => readAll(of(1, 2, 3).pipeThrough(new TransformStream({ transform(chunk, controller) { controller.enqueue(chunk * 2); } }))),
  "flush may add": () => readAll(of("a").pipeThrough(new TransformStream({ flush(controller) { controller.enqueue("end"); } }))),
  "start may add": () => readAll(of("a").pipeThrough(new TransformStream({ start(controller) { controller.enqueue("start"); } }))),
  "terminate ends what is readable": () => readAll(of(1, 2, 3).pipeThrough(new TransformStream({ transform(chunk, controller) { controller.enqueue(chunk); if (chunk === 2) controller.terminate(); } }))),
  async "an error in transform reaches both ends"() {
    const { readable, writable } = new TransformStream({ transform() { throw new RangeError("r"); } });
    const writer = writable.getWriter();
    writer.closed.catch(() => {});
    const write = writer.write(1);
    return [await thrown(() => readable.getReader().read()), await thrown(() => write)];
  },
  async "writes go to the sink in order"() {
    const written = [];
    const writer = new WritableStream({ async write(chunk) { await later(1); written.push(chunk); }, close() { written.push("close"); } }).getWriter();
    writer.write(1);
    writer.write(2);
    await writer.close();
    return written;
  },
  async "ready waits for room"() {
    let release;
    const writer = new WritableStream({ write: () => new Promise((resolve) => { release = resolve; }) }, { highWaterMark: 1 }).getWriter();
    const sizes = [writer.desiredSize];
    writer.write("x");
    sizes.push(writer.desiredSize);
    await later(1);
    release();
    await writer.ready;
    sizes.push(writer.desiredSize);
    return sizes;
  },
  async "abort reaches the sink and its signal"() {
    const seen = [];
    const stream = new WritableStream({ start(controller) { controller.signal.addEventListener("abort", () => seen.push(controller.signal.reason)); }, abort(reason) { seen.push(reason); } });
    await stream.abort("why");
    return seen;
  },
  async "a sink that throws errors the stream"() {
    const writer = new WritableStream({ write() { throw new EvalError("e"); } }).getWriter();
    writer.closed.catch(() => {});
    return [await thrown(() => writer.write(1)), await thrown(() => writer.write(2)), await thrown(() => writer.close())];
  },
  async "pipeTo closes its destination"() {
    const written = [];
    await of(1, 2).pipeTo(new WritableStream({ write(chunk) { written.push(chunk); }, close() { written.push("close"); } }));
    return written;
  },
  async "pipeTo with preventClose doesn't"() {
    const written = [];
    const sink = new WritableStream({ write(chunk) { written.push(chunk); }, close() { written.push("close"); } });
    await of(1).pipeTo(sink, { preventClose: true });
    await of(2).pipeTo(sink);
    return written;
  },
  async "pipeTo hands errors on"() {
    let aborted;
    const source = new ReadableStream({ start(controller) { controller.error(new RangeError("r")); } });
    const error = await thrown(() => source.pipeTo(new WritableStream({ abort(reason) { aborted = reason; } })));
    return [error, aborted];
  },
  async "pipeTo cancels its source when the sink fails"() {
    let cancelled;
    const source = new ReadableStream({ pull(controller) { controller.enqueue(1); }, cancel(reason) { cancelled = reason; } });
    const error = await thrown(() => source.pipeTo(new WritableStream({ write() { throw new URIError("u"); } })));
    return [error, cancelled];
  },
  async "a signal stops pipeTo"() {
    const controller = new AbortController();
    const source = new ReadableStream({ pull: () => later(1000) });
    const piped = source.pipeTo(new WritableStream(), { signal: controller.signal });
    controller.abort();
    return thrown(() => piped);
  },
  async "TextDecoderStream joins characters that were cut"() {
    const euro = bytes("€");
    return (await readAll(of(euro.slice(0, 1), euro.slice(1)).pipeThrough(new TextDecoderStream()))).join("|");
  },
  async "TextEncoderStream joins surrogates that were cut"() {
    const parts = await readAll(of("\ud83d", "\ude00").pipeThrough(new TextEncoderStream()));
    return parts.flatMap((part) => [...part]);
  },
  async "TextDecoderStream with fatal refuses"() {
    return thrown(() => readAll(of(new Uint8Array([0xff])).pipeThrough(new TextDecoderStream("utf-8", { fatal: true }))));
  },
  async "an identity transform has back-pressure"() {
    const { readable, writable } = new TransformStream();
    const writer = writable.getWriter();
    let done = false;
    const write = writer.write("x").then(() => { done = true; });
    await later(1);
    const before = done;
    await readable.getReader().read();
    await write;
    return [before, done, writer.desiredSize];
  },
};
