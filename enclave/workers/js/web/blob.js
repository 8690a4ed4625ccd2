(function (host, web) {
  "use strict";

  const normalize = (type) => {
    const text = `${type}`;
    return /^[\x20-\x7e]*$/.test(text) ? text.toLowerCase() : "";
  };

  class Blob {
    // Never changed.
    #bytes;
    #type;

    constructor(parts = undefined, options = undefined) {
      const { endings = "transparent", type = "" } = web.dictionary(options, "A blob's options");
      if (!["transparent", "native"].includes(`${endings}`))
        throw new TypeError("Endings are transparent or native");
      this.#bytes = parts === undefined ? new Uint8Array(0) : Blob.#join(parts, `${endings}` === "native");
      this.#type = normalize(type);
    }

    get size() {
      return this.#bytes.length;
    }
    get type() {
      return this.#type;
    }

    slice(start = 0, end = undefined, type = "") {
      const bytes = this.#bytes.subarray(clamp(start), end === undefined ? this.#bytes.length : clamp(end));
      return Blob.#of(bytes, normalize(type));
    }

    async text() {
      return web.decode(this.#bytes);
    }

    async arrayBuffer() {
      return this.#bytes.slice().buffer;
    }

    async bytes() {
      return this.#bytes.slice();
    }

    stream() {
      web.need("channels");
      return web.streamOf(web.bytesReader(this.#bytes));
    }

    static #join(parts, native) {
      const isList = parts !== null && (typeof parts === "object" || typeof parts === "function");
      if (!isList || typeof parts[Symbol.iterator] !== "function")
        throw new TypeError("A blob's parts are a sequence");
      const pieces = [];
      for (const part of parts) {
        if (part !== null && typeof part === "object") {
          if (#bytes in part) {
            pieces.push(part.#bytes);
            continue;
          }
          const view = web.view(part);
          if (view) {
            pieces.push(view);
            continue;
          }
        }
        const text = web.usv(part);
        pieces.push(web.encode(native ? text.replace(/\r\n?/g, "\n") : text));
      }
      const bytes = web.concat(pieces);
      return pieces.length === 1 ? bytes.slice() : bytes;
    }

    static #of(bytes, type) {
      const blob = new Blob();
      blob.#bytes = bytes;
      blob.#type = type;
      return blob;
    }

    static {
      web.isBlob = (value) => value !== null && typeof value === "object" && #bytes in value;
      web.blobBytes = (blob) => blob.#bytes;
      /** A blob of bytes that nobody else changes. */
      web.makeBlob = (bytes, type) => Blob.#of(bytes, normalize(type));
      web.copyBlob = (blob) =>
        web.isFile(blob)
          ? web.makeFile(blob.#bytes, blob.name, blob.#type, blob.lastModified)
          : Blob.#of(blob.#bytes, blob.#type);
      web.adoptBytes = (blob, bytes) => {
        blob.#bytes = bytes;
      };
    }
  }

  // An index, as [Clamp] makes one of a number: the nearest, and the even one of two.
  const clamp = (value) => {
    const number = Number(value);
    const floor = Math.floor(number);
    if (!Number.isFinite(number)) return Number.isNaN(number) ? 0 : number;
    if (number - floor !== 0.5) return Math.round(number);
    return floor % 2 === 0 ? floor : floor + 1;
  };

  class File extends Blob {
    #name;
    #lastModified;

    constructor(parts, name, options = undefined) {
      if (arguments.length < 2) throw new TypeError("A file has parts and a name");
      super(parts, options);
      this.#name = web.usv(name);
      const time = options?.lastModified;
      this.#lastModified = time === undefined ? Date.now() : Math.trunc(Number(time)) || 0;
    }

    get name() {
      return this.#name;
    }
    get lastModified() {
      return this.#lastModified;
    }
    get webkitRelativePath() {
      return "";
    }

    static {
      web.isFile = (value) => value !== null && typeof value === "object" && #name in value;
    }
  }

  /** A file of bytes that nobody else changes. */
  web.makeFile = (bytes, name, type, lastModified = Date.now()) => {
    const file = new File([], name, { type, lastModified });
    web.adoptBytes(file, bytes);
    return file;
  };

  web.idl(Blob);
  web.idl(File);
});
