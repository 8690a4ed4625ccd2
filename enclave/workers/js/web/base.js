(function (host, web) {
  "use strict";

  // Frames of stacks hand out no functions: these parts' own are among them.
  const { prepareStackTrace } = Error;
  Error.prepareStackTrace = (_, frames) => frames;
  const [frame] = new Error().stack;
  Error.prepareStackTrace = prepareStackTrace;
  delete Object.getPrototypeOf(frame).getFunction;

  // The engine's own of these (QuickJS-ng 0.14) free an element twice when they are stopped between two of them.
  const { apply } = Reflect;
  const seek = (list, predicate, self, backwards, found) => {
    if (list === null || list === undefined) throw new TypeError("cannot convert to object");
    const object = Object(list);
    const length = Math.min(Math.max(Math.trunc(Number(object.length)) || 0, 0), Number.MAX_SAFE_INTEGER);
    if (typeof predicate !== "function") throw new TypeError("not a function");
    for (let step = 0; step < length; step++) {
      const at = backwards ? length - 1 - step : step;
      const value = object[at];
      if (apply(predicate, self, [value, at, object])) return found(value, at);
    }
    return found(undefined, -1);
  };
  const element = (value) => value;
  const place = (_, at) => at;
  const finders = {
    find(predicate) {
      return seek(this, predicate, arguments[1], false, element);
    },
    findIndex(predicate) {
      return seek(this, predicate, arguments[1], false, place);
    },
    findLast(predicate) {
      return seek(this, predicate, arguments[1], true, element);
    },
    findLastIndex(predicate) {
      return seek(this, predicate, arguments[1], true, place);
    },
  };
  for (const name in finders) {
    Object.defineProperty(Array.prototype, name, { value: finders[name], writable: true, configurable: true, enumerable: false });
  }

  // What workers change on their global object doesn't reach the parts that use these.
  const { DOMException } = globalThis;
  web.DOMException = DOMException;

  /** An error for people who look at its name. */
  web.dom = (name, message) => new DOMException(message, name);

  /** A USVString of Web IDL. */
  web.usv = (value) => {
    const text = `${value}`;
    return text.isWellFormed() ? text : text.toWellFormed();
  };

  /** A ByteString of Web IDL. */
  web.byteString = (value) => {
    const text = `${value}`;
    for (let i = 0; i < text.length; i++) {
      if (text.charCodeAt(i) > 255) throw new TypeError("A character is not a byte");
    }
    return text;
  };

  /** The members of a dictionary. */
  web.dictionary = (value, what) => {
    if (value === undefined || value === null) return {};
    if (typeof value === "object" || typeof value === "function") return value;
    throw new TypeError(`${what} is not an object`);
  };

  /** A view of a BufferSource's bytes, or null for what is none. A detached one has no bytes. */
  web.view = (value) => {
    if (value instanceof ArrayBuffer) return value.detached ? new Uint8Array(0) : new Uint8Array(value);
    if (!ArrayBuffer.isView(value)) return null;
    if (value.buffer.detached) return new Uint8Array(0);
    return new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
  };

  /** UTF-8 of a string. */
  web.encode = (text) => host.encoding.encode(text.isWellFormed() ? text : text.toWellFormed());

  /** A string of UTF-8, without its byte order mark, malformed bytes replaced. */
  web.decode = (bytes) => {
    if (bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf) bytes = bytes.subarray(3);
    return (
      host.encoding.decode(bytes) ??
      web.decodePieces(host.encoding.decoder("utf-8", true), bytes, true, false)
    );
  };

  /** The text of as many bytes as there are; null where a fatal decoder finds them malformed. */
  web.decodePieces = (decoder, bytes, last, fatal) => {
    const { maxPiece, push } = host.encoding;
    let text = "";
    let at = 0;
    do {
      const end = Math.min(at + maxPiece, bytes.length);
      const piece = push(decoder, bytes.subarray(at, end), last && end === bytes.length, fatal);
      if (piece === undefined) return null;
      text += piece;
      at = end;
    } while (at < bytes.length);
    return text;
  };

  /** The reader of a body that comes in pieces. */
  web.receive = (id) => {
    web.need("channels");
    return web.openChannel(id);
  };

  /** The bytes of several arrays. */
  web.concat = (pieces) => {
    if (pieces.length === 1) return pieces[0];
    let length = 0;
    for (const piece of pieces) length += piece.length;
    const bytes = new Uint8Array(length);
    let at = 0;
    for (const piece of pieces) {
      bytes.set(piece, at);
      at += piece.length;
    }
    return bytes;
  };

  /** Makes a class look as Web IDL says: members enumerable, a name for its objects. */
  web.idl = (constructor, name = constructor.name) => {
    const { prototype } = constructor;
    for (const key of Object.getOwnPropertyNames(prototype)) {
      if (key !== "constructor") Object.defineProperty(prototype, key, { enumerable: true });
    }
    for (const key of Object.getOwnPropertyNames(constructor)) {
      if (!["length", "name", "prototype"].includes(key))
        Object.defineProperty(constructor, key, { enumerable: true });
    }
    Object.defineProperty(prototype, Symbol.toStringTag, { value: name, configurable: true });
    web[name] = constructor;
  };

  /** Gives a class constants, as Web IDL does. */
  web.constants = (constructor, values) => {
    for (const key of Object.keys(values)) {
      const constant = { value: values[key], enumerable: true };
      Object.defineProperty(constructor, key, constant);
      Object.defineProperty(constructor.prototype, key, constant);
    }
  };

  /** Tells of an error that nobody caught: to the worker's listeners, or else to its owner. */
  web.report = (error) => {
    try {
      if (typeof globalThis.onerror === "function") web.need("events");
      if (web.eventReport?.(error)) return;
    } catch (another) {
      host.caught(another);
    }
    host.caught(error);
  };

  /** Tells of a rejection that nobody handles, likewise. */
  web.rejected = (promise, reason) => {
    if (typeof globalThis.onunhandledrejection === "function") web.need("events");
    if (!web.eventRejected?.(promise, reason)) host.caught(reason);
  };

  /** What workers call themselves to others. */
  web.userAgent = "Jeju-Workers";

  Object.defineProperty(globalThis, "self", { value: globalThis, writable: true, configurable: true });
});
