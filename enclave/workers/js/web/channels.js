(function (host, web) {
  "use strict";

  // As in jeju_worker_protocol.
  const WINDOW = 256 * 1024;
  const MAX_CHUNK = 64 * 1024;

  // Bodies that come and go by id while an event lasts: 0 is the event's own.
  const incoming = new Map();
  const outgoing = new Map();

  /** A body that comes in pieces. A reader, as all of them: `read` resolves with bytes, or null at the end. */
  class Channel {
    #id;
    #pieces = [];
    #ended = false;
    #error = null;
    #wake = null;

    constructor(id) {
      this.#id = id;
      incoming.set(id, this);
    }

    async read() {
      while (this.#pieces.length === 0) {
        if (this.#error) throw this.#error;
        if (this.#ended) return null;
        await new Promise((resolve) => {
          this.#wake = resolve;
        });
      }
      const piece = this.#pieces.shift();
      host.more(this.#id, piece.length);
      return piece;
    }

    cancel() {
      this.#pieces.length = 0;
      if (!incoming.delete(this.#id)) return;
      this.end(null);
      if (this.#id > 0) host.fetchCancel(this.#id);
    }

    deliver(bytes) {
      if (this.#ended) return;
      this.#pieces.push(bytes);
      this.#awake();
    }

    end(error) {
      if (this.#ended) return;
      this.#ended = true;
      this.#error = error;
      this.#awake();
    }

    #awake() {
      this.#wake?.();
      this.#wake = null;
    }
  }

  /** Sends what a reader gives as the body `id`, as fast as there is credit for it. */
  web.pump = async (id, reader) => {
    const outlet = { credit: WINDOW, reader, wake: null, cancelled: null };
    outgoing.set(id, outlet);
    try {
      for (let bytes = await reader.read(); bytes !== null; bytes = await reader.read()) {
        for (let at = 0; at < bytes.length;) {
          while (outlet.credit <= 0 && !outlet.cancelled) {
            await new Promise((resolve) => {
              outlet.wake = resolve;
            });
          }
          if (outlet.cancelled) throw outlet.cancelled;
          const end = Math.min(bytes.length, at + Math.min(MAX_CHUNK, outlet.credit));
          outlet.credit -= end - at;
          host.body(id, at === 0 && end === bytes.length ? bytes : bytes.slice(at, end));
          at = end;
        }
      }
      if (outlet.cancelled) throw outlet.cancelled;
      host.bodyEnd(id, null);
    } catch (error) {
      if (!outlet.cancelled) {
        host.bodyEnd(id, `${error?.message ?? error}`);
        reader.cancel(error);
      }
      throw error;
    } finally {
      outgoing.delete(id);
    }
  };

  web.openChannel = (id) => new Channel(id);

  /** Ends a fetch's body, if it isn't whole, and tells the front that nobody wants it. Whether it wasn't. */
  web.breakChannel = (id, reason) => {
    const channel = incoming.get(id);
    if (!channel) return false;
    web.deliverEnd(id, reason);
    host.fetchCancel(id);
    return true;
  };

  web.deliverBody = (id, bytes) => incoming.get(id)?.deliver(bytes);

  web.deliverEnd = (id, error) => {
    incoming.get(id)?.end(error);
    incoming.delete(id);
  };

  web.deliverCredit = (id, bytes) => {
    const outlet = outgoing.get(id);
    if (!outlet) return;
    outlet.credit += bytes;
    outlet.wake?.();
    outlet.wake = null;
  };

  /** Ends a body that nobody takes any more. */
  web.cancelOutgoing = (id, reason) => {
    const outlet = outgoing.get(id);
    if (!outlet) return;
    outlet.cancelled = reason;
    outlet.reader.cancel(reason);
    outlet.wake?.();
  };

  web.dropBodies = () => {
    incoming.clear();
    outgoing.clear();
  };

  /** A reader of bytes that are there. */
  web.bytesReader = (bytes) => {
    let at = 0;
    return {
      async read() {
        if (at >= bytes.length) return null;
        const end = Math.min(bytes.length, at + MAX_CHUNK);
        const piece = bytes.slice(at, end);
        at = end;
        return piece;
      },
      cancel() {},
    };
  };

  /** A reader of a worker's stream. */
  web.streamReader = (stream) => {
    const reader = stream.getReader();
    return {
      async read() {
        const { done, value } = await reader.read();
        if (done) return null;
        if (!(value instanceof Uint8Array)) throw new TypeError("A body's stream gives Uint8Arrays");
        return value;
      },
      cancel(reason) {
        reader.cancel(reason).catch(() => {});
      },
    };
  };

  /** The stream of what a reader reads. */
  web.streamOf = (reader) => {
    web.need("streams");
    return new web.ReadableStream(
      {
        type: "bytes",
        async pull(controller) {
          let bytes = await reader.read();
          while (bytes?.length === 0) bytes = await reader.read();
          if (bytes !== null) {
            controller.enqueue(bytes);
            return;
          }
          controller.close();
          controller.byobRequest?.respond(0);
        },
        cancel: (reason) => reader.cancel(reason),
      },
      { highWaterMark: 0 },
    );
  };
});
