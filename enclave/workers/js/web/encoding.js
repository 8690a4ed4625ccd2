(function (host, web) {
  "use strict";

  const { label, decode, decoder } = host.encoding;
  const EMPTY = new Uint8Array(0);

  class TextEncoder {
    get encoding() {
      return "utf-8";
    }

    encode(input = "") {
      return host.encoding.encode(web.usv(input));
    }

    encodeInto(source, destination) {
      const text = web.usv(source);
      if (!(destination instanceof Uint8Array)) throw new TypeError("The destination is not a Uint8Array");
      // No more characters fit than there are bytes.
      let end = Math.min(text.length, destination.length);
      if (end < text.length && isLow(text, end)) end--;
      const bytes = host.encoding.encode(text.slice(0, end));
      if (bytes.length <= destination.length) {
        destination.set(bytes);
        return { read: end, written: bytes.length };
      }
      let written = destination.length;
      while ((bytes[written] & 0xc0) === 0x80) written--;
      destination.set(bytes.subarray(0, written));
      return {
        read: web.decodePieces(decoder("utf-8", true), bytes.subarray(0, written), true, false).length,
        written,
      };
    }
  }

  const isLow = (text, at) => at > 0 && (text.charCodeAt(at) & 0xfc00) === 0xdc00;

  class TextDecoder {
    #name;
    #fatal;
    #ignoreBOM;
    // Of a stream that isn't over.
    #decoder = null;

    constructor(encoding = "utf-8", options = undefined) {
      const name = label(web.usv(encoding));
      if (name === undefined) throw new RangeError(`Unknown encoding: ${encoding}`);
      const { fatal, ignoreBOM } = web.dictionary(options, "The options of a decoder");
      this.#name = name;
      this.#fatal = Boolean(fatal);
      this.#ignoreBOM = Boolean(ignoreBOM);
    }

    get encoding() {
      return this.#name;
    }
    get fatal() {
      return this.#fatal;
    }
    get ignoreBOM() {
      return this.#ignoreBOM;
    }

    decode(input = EMPTY, options = undefined) {
      const bytes = web.view(input);
      if (!bytes) throw new TypeError("The input is not a buffer");
      const stream = Boolean(web.dictionary(options, "The options").stream);
      if (!stream && !this.#decoder && this.#name === "utf-8") {
        const marked = !this.#ignoreBOM && bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf;
        const text = decode(marked ? bytes.subarray(3) : bytes);
        if (text !== undefined) return text;
      }
      this.#decoder ??= decoder(this.#name, this.#ignoreBOM);
      const text = web.decodePieces(this.#decoder, bytes, !stream, this.#fatal);
      if (!stream || text === null) this.#decoder = null;
      if (text === null) throw new TypeError("The encoded data is not valid");
      return text;
    }
  }

  web.idl(TextEncoder);
  web.idl(TextDecoder);
});
