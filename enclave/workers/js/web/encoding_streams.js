(function (host, web) {
  "use strict";

  web.need("encoding");
  web.need("streams");

  class TextEncoderStream {
    #transform;

    constructor() {
      let high = "";
      this.#transform = new web.TransformStream({
        transform(chunk, controller) {
          let text = high + `${chunk}`;
          high = "";
          // A surrogate may have its other half in the next piece.
          const last = text.charCodeAt(text.length - 1);
          if ((last & 0xfc00) === 0xd800) {
            high = text.slice(-1);
            text = text.slice(0, -1);
          }
          if (text !== "") controller.enqueue(web.encode(text));
        },
        flush(controller) {
          if (high !== "") controller.enqueue(web.encode(high));
        },
      });
    }

    get encoding() {
      return "utf-8";
    }
    get readable() {
      return this.#transform.readable;
    }
    get writable() {
      return this.#transform.writable;
    }
  }

  class TextDecoderStream {
    #decoder;
    #transform;

    constructor(label = "utf-8", options = undefined) {
      const decoder = new web.TextDecoder(label, options);
      this.#decoder = decoder;
      const pass = (text, controller) => {
        if (text !== "") controller.enqueue(text);
      };
      this.#transform = new web.TransformStream({
        transform: (chunk, controller) => pass(decoder.decode(chunk, { stream: true }), controller),
        flush: (controller) => pass(decoder.decode(), controller),
      });
    }

    get encoding() {
      return this.#decoder.encoding;
    }
    get fatal() {
      return this.#decoder.fatal;
    }
    get ignoreBOM() {
      return this.#decoder.ignoreBOM;
    }
    get readable() {
      return this.#transform.readable;
    }
    get writable() {
      return this.#transform.writable;
    }
  }

  web.idl(TextEncoderStream);
  web.idl(TextDecoderStream);
});
