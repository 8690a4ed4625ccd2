(function (host, web) {
  "use strict";

  web.need("headers");
  web.need("body");

  const WITHOUT_BODY = [101, 204, 205, 304];
  const REDIRECTS = [301, 302, 303, 307, 308];
  const PHRASE = /^[\t\x20-\x7e\x80-\xff]*$/;

  class Response {
    #status = 200;
    #statusText = "";
    #headers;
    #content = null;
    #url = "";
    #redirected = false;
    #type = "default";

    constructor(body = null, init = undefined) {
      // The way in for answers from outside.
      if (body === web) return;
      if (init !== undefined) this.#init(init);
      else if (typeof body === "string") {
        this.#headers = web.typeHeaders(web.TEXT);
        this.#content = web.contentOf(body.toWellFormed());
        return;
      } else this.#headers = new web.Headers();
      if (body === null || body === undefined) return;
      if (WITHOUT_BODY.includes(this.#status))
        throw new TypeError(`An answer with status ${this.#status} has no body`);
      const [content, type] = web.extract(body);
      this.#content = content;
      if (type !== null) web.nameType(this.#headers, type);
    }

    static error() {
      const response = new Response();
      response.#status = 0;
      response.#type = "error";
      web.freezeHeaders(response.#headers);
      return response;
    }

    static redirect(url, status = 302) {
      const record = host.url.parse(web.usv(url));
      if (!record) throw new TypeError("The URL of a redirection is a whole one");
      if (!REDIRECTS.includes(Number(status)))
        throw new RangeError(`${status} is no status of a redirection`);
      const response = new Response(null, { status });
      response.#headers.set("location", record[0]);
      web.freezeHeaders(response.#headers);
      return response;
    }

    static json(data, init = undefined) {
      const text = JSON.stringify(data);
      if (text === undefined) throw new TypeError("The data has no JSON");
      const response = new Response(text, init);
      const given = init?.headers !== undefined && new web.Headers(init.headers).has("content-type");
      if (!given) response.#headers.set("content-type", "application/json");
      return response;
    }

    get type() {
      return this.#type;
    }
    get url() {
      return this.#url;
    }
    get redirected() {
      return this.#redirected;
    }
    get status() {
      return this.#status;
    }
    get ok() {
      return this.#status >= 200 && this.#status <= 299;
    }
    get statusText() {
      return this.#statusText;
    }
    get headers() {
      return this.#headers;
    }

    clone() {
      const clone = new Response(web);
      clone.#content = this.#content?.clone() ?? null;
      clone.#status = this.#status;
      clone.#statusText = this.#statusText;
      clone.#headers = web.adoptHeaders(web.listHeaders(this.#headers).slice(), false);
      clone.#url = this.#url;
      clone.#redirected = this.#redirected;
      clone.#type = this.#type;
      return clone;
    }

    #init(init) {
      const { status = 200, statusText = "", headers } = web.dictionary(init, "A response's init");
      const number = Number(status) & 0xffff;
      if (number < 200 || number > 599) throw new RangeError(`The status ${status} is not from 200 to 599`);
      const phrase = web.byteString(statusText);
      if (!PHRASE.test(phrase)) throw new TypeError("The status text has a control character");
      this.#status = number;
      this.#statusText = phrase;
      this.#headers = new web.Headers(headers);
    }

    static {
      web.isResponse = (value) => value !== null && typeof value === "object" && #status in value;
      web.responseContent = (response) => response.#content;
      /** The answer to a fetch. */
      web.fetchedResponse = ({ status, statusText, headers, url, redirected }, content) => {
        const response = new Response(web);
        response.#status = status;
        response.#statusText = statusText;
        response.#headers = web.adoptHeaders(headers, true);
        response.#url = url.split("#")[0];
        response.#redirected = redirected;
        response.#content = WITHOUT_BODY.includes(status) ? null : content;
        return response;
      };
      web.mixBody(Response, (response) => response.#content);
    }
  }

  web.idl(Response);
});
