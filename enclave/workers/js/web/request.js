(function (host, web) {
  "use strict";

  web.need("headers");
  web.need("body");

  const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
  const USUAL = ["DELETE", "GET", "HEAD", "OPTIONS", "POST", "PUT"];
  const FORBIDDEN = ["CONNECT", "TRACE", "TRACK"];

  const readMethod = (value) => {
    const text = `${value}`;
    const upper = text.toUpperCase();
    if (!TOKEN.test(text) || FORBIDDEN.includes(upper))
      throw new TypeError(`Invalid method: ${JSON.stringify(text)}`);
    return USUAL.includes(upper) ? upper : text;
  };

  const oneOf = (what, value, values) => {
    const text = `${value}`;
    if (!values.includes(text)) throw new TypeError(`Invalid ${what}: ${JSON.stringify(text)}`);
    return text;
  };

  class Request {
    #method = "GET";
    #url;
    #headers = null;
    // Of a request from outside: the list that headers are made of when somebody asks.
    #list = null;
    #content = null;
    #signal = null;
    #redirect = "follow";
    #plain = false;

    constructor(input, init = undefined) {
      if (arguments.length === 0) throw new TypeError("A request has a URL");
      // The way in for requests from outside.
      if (input === web) return;
      const options = web.dictionary(init, "A request's init");
      const source = web.isRequest(input) ? input : null;
      if (source) this.#copy(source);
      else this.#url = readUrl(input);
      if (options.method !== undefined) this.#method = readMethod(options.method);
      if (options.redirect !== undefined) {
        this.#redirect = oneOf("redirect", options.redirect, ["follow", "error", "manual"]);
      }
      if (options.signal !== undefined) this.#signal = readSignal(options.signal);
      const headers = options.headers ?? (source ? web.listHeaders(source.headers).slice() : undefined);
      this.#headers =
        Array.isArray(headers) && !options.headers
          ? web.adoptHeaders(headers, false)
          : new web.Headers(headers);
      this.#takeBody(options.body, source);
    }

    get method() {
      return this.#method;
    }
    get url() {
      return this.#url;
    }
    get headers() {
      if (!this.#headers) {
        this.#headers = web.adoptHeaders(this.#list, true);
        if (this.#plain) web.showPlain(this.#headers, this.#list);
      }
      return this.#headers;
    }
    get signal() {
      if (!this.#signal) {
        web.need("abort");
        this.#signal = web.makeSignal();
      }
      return this.#signal;
    }
    get redirect() {
      return this.#redirect;
    }

    clone() {
      const clone = new Request(web);
      clone.#copy(this);
      clone.#headers = web.adoptHeaders(web.listHeaders(this.headers).slice(), false);
      clone.#content = this.#content?.clone() ?? null;
      return clone;
    }

    #copy(source) {
      this.#method = source.#method;
      this.#url = source.#url;
      this.#redirect = source.#redirect;
      // Aborted with the first, whichever asks first for its signal.
      this.#signal = source.signal;
    }

    #takeBody(body, source) {
      const given = body !== undefined && body !== null;
      const has = given || (body === undefined && source?.#content);
      if (has && (this.#method === "GET" || this.#method === "HEAD")) {
        throw new TypeError(`A ${this.#method} request has no body`);
      }
      if (given) {
        const [content, type] = web.extract(body);
        this.#content = content;
        if (type !== null) web.nameType(this.#headers, type);
      } else if (has) {
        this.#content = source.#content.move();
      }
    }

    static {
      web.isRequest = (value) => value !== null && typeof value === "object" && #method in value;
      web.requestContent = (request) => request.#content;
      web.requestSignal = (request) => request.#signal;
      /** The request of an event. In the plain form its headers also read as a plain object. */
      web.incomingRequest = (event, plain) => {
        const request = new Request(web);
        request.#method = event.method;
        request.#url = event.url;
        request.#list = event.headers;
        request.#plain = plain;
        if (event.streaming) request.#content = web.contentFrom(web.receive(0));
        else if (event.body) request.#content = web.contentOf(event.body);
        if (plain && request.#content?.whole) plainBody(request);
        return request;
      };
      web.mixBody(Request, (request) => request.#content);
    }
  }

  const readUrl = (input) => {
    const text = web.usv(input);
    const record = host.url.parse(text);
    if (!record) throw new TypeError(`Invalid URL: ${JSON.stringify(text.slice(0, 200))}`);
    // After user name and password.
    if (record[3] > record[2] || record[5] > record[4])
      throw new TypeError("A request's URL has no user name or password");
    return record[0];
  };

  const readSignal = (signal) => {
    if (signal === null) return null;
    if (!web.isAbortSignal?.(signal)) throw new TypeError("The signal is not an AbortSignal");
    return signal;
  };

  /** Headers that read as the plain object of the first nodes, too. */
  web.showPlain = (headers, list) => {
    for (let i = 0; i < list.length; i += 2) {
      const name = list[i];
      if (name in headers && !Object.hasOwn(headers, name)) continue;
      const value = headers.get(name);
      Object.defineProperty(headers, name, { value, writable: true, enumerable: true, configurable: true });
    }
  };

  /** A whole body whose stream turns into the body's text, as `JSON.parse(request.body)` wants it. */
  const plainBody = (request) => {
    const whole = web.requestContent(request).peek();
    const { get } = Object.getOwnPropertyDescriptor(Request.prototype, "body");
    Object.defineProperty(request, "body", {
      get() {
        const stream = get.call(request);
        if (stream && !Object.hasOwn(stream, "toString")) {
          const text = () => (typeof whole === "string" ? whole : web.decode(whole));
          for (const name of ["toString", "toJSON"])
            Object.defineProperty(stream, name, { value: text, writable: true, configurable: true });
        }
        return stream;
      },
      configurable: true,
    });
  };

  // What means nothing here is the same for all.
  const CONSTANTS = {
    destination: "",
    referrer: "about:client",
    referrerPolicy: "",
    mode: "cors",
    credentials: "same-origin",
    cache: "default",
    integrity: "",
    keepalive: false,
    duplex: "half",
  };
  for (const name of Object.keys(CONSTANTS)) {
    const get = () => CONSTANTS[name];
    Object.defineProperty(Request.prototype, name, { get, configurable: true });
  }

  web.idl(Request);
});
