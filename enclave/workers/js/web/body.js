(function (host, web) {
  "use strict";

  const NOTHING = new Uint8Array(0);

  /**
   * What a request or a response has as its body. Whole bytes stay bytes, and make a stream only where the
   * worker asks for it.
   */
  class Content {
    // Text, bytes, or neither where it is read from a reader.
    #whole;
    #reader;
    #stream = null;
    #used = false;

    constructor(whole, reader, stream) {
      this.#whole = whole;
      this.#reader = reader;
      this.#stream = stream;
    }

    get used() {
      return this.#stream ? this.#stream._disturbed : this.#used;
    }

    get locked() {
      return this.#stream ? this.#stream.locked : this.#used;
    }

    /** Whether it is whole, and nobody has begun to read it. */
    get whole() {
      return this.#whole !== null && !this.#stream && !this.#used;
    }

    /** Text or bytes of a whole one. */
    peek() {
      return this.#whole;
    }

    stream() {
      if (!this.#stream) {
        web.need("channels");
        this.#stream = web.streamOf(this.#used ? web.bytesReader(NOTHING) : this.#takeReader());
        // A body that was read before somebody asks for its stream has one that was read.
        if (this.#used) this.#stream.getReader().read();
      }
      return this.#stream;
    }

    /** All of it, as text or bytes; it is used then. */
    take() {
      this.#claim();
      if (this.#whole !== null && !this.#stream) {
        this.#used = true;
        const whole = this.#whole;
        this.#whole = NOTHING;
        return whole;
      }
      return collect(this.#claimReader());
    }

    /** Its bytes one after the other; it is used then. */
    reader() {
      this.#claim();
      return this.#claimReader();
    }

    /** Another one with the same bytes. */
    clone() {
      this.#claim();
      if (this.whole) return new Content(this.#whole, null, null);
      const [mine, other] = this.stream().tee();
      this.#stream = mine;
      return new Content(null, null, other);
    }

    /** Gives all to a new one, and is used from then on. */
    move() {
      this.#claim();
      const moved = this.#stream
        ? new Content(null, null, pass(this.#stream))
        : new Content(this.#whole, this.#reader, null);
      this.#used = true;
      if (!this.#stream) {
        this.#whole = NOTHING;
        this.#reader = null;
      }
      return moved;
    }

    #claim() {
      if (this.used || this.locked) throw new TypeError("The body was read already, or is being read");
    }

    #claimReader() {
      this.#used = true;
      if (!this.#stream) return this.#takeReader();
      web.need("channels");
      return web.streamReader(this.#stream);
    }

    #takeReader() {
      if (this.#whole === null) return this.#reader;
      web.need("channels");
      return web.bytesReader(typeof this.#whole === "string" ? web.encode(this.#whole) : this.#whole);
    }
  }

  const pass = (stream) => {
    web.need("streams");
    return stream.pipeThrough(new web.TransformStream());
  };

  const collect = async (reader) => {
    const pieces = [];
    for (let bytes = await reader.read(); bytes !== null; bytes = await reader.read()) pieces.push(bytes);
    return web.concat(pieces);
  };

  web.contentOf = (whole) => new Content(whole, null, null);
  web.contentFrom = (reader) => new Content(null, reader, null);

  /** The type of text. */
  web.TEXT = "text/plain;charset=UTF-8";

  /** The content that a BodyInit is, and the type that it gives, or null. */
  web.extract = (init) => {
    if (typeof init === "string") return [web.contentOf(init.toWellFormed()), web.TEXT];
    if (typeof init === "object") {
      const view = web.view(init);
      if (view) return [web.contentOf(view.slice()), null];
      if (web.isBlob?.(init)) return [web.contentOf(web.blobBytes(init)), init.type || null];
      if (web.isFormData?.(init)) {
        const [bytes, type] = web.writeMultipart(init);
        return [web.contentOf(bytes), type];
      }
      if (web.isParams?.(init)) {
        return [web.contentOf(init.toString()), "application/x-www-form-urlencoded;charset=UTF-8"];
      }
      if (web.isStream?.(init)) {
        if (init.locked || init._disturbed)
          throw new TypeError("The stream was read already, or is being read");
        return [new Content(null, null, init), null];
      }
    }
    return [web.contentOf(web.usv(init)), web.TEXT];
  };

  const asBytes = (taken) => (typeof taken === "string" ? web.encode(taken) : taken);
  // Of UTF-8, whose byte order mark would go.
  const asText = (taken) => {
    if (typeof taken !== "string") return web.decode(taken);
    return taken.startsWith("\ufeff") ? taken.slice(1) : taken;
  };

  /** Gives a class its body's members. `contentOf` gives an object's content or null, and throws on others. */
  web.mixBody = (constructor, contentOf) => {
    const take = (object) => contentOf(object)?.take() ?? NOTHING;
    const own = (taken) => (taken instanceof Uint8Array ? tight(taken) : web.encode(taken));
    const members = {
      get body() {
        return contentOf(this)?.stream() ?? null;
      },
      get bodyUsed() {
        return contentOf(this)?.used ?? false;
      },
      async text() {
        return asText(await take(this));
      },
      async json() {
        return JSON.parse(asText(await take(this)));
      },
      async arrayBuffer() {
        return own(await take(this)).buffer;
      },
      async bytes() {
        return own(await take(this));
      },
      async blob() {
        web.need("blob");
        const type = this.headers.get("content-type") ?? "";
        return web.makeBlob(own(await take(this)), type);
      },
      async formData() {
        web.need("formdata");
        const type = this.headers.get("content-type") ?? "";
        return web.readForm(asBytes(await take(this)), type);
      },
    };
    Object.defineProperties(constructor.prototype, Object.getOwnPropertyDescriptors(members));
  };

  // Bytes with a buffer of their own.
  const tight = (bytes) => bytes.slice();
});
