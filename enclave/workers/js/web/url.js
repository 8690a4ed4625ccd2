(function (host, web) {
  "use strict";

  const { parse, set, origin } = host.url;
  // Where the places of a record are: see `record` in url.rs.
  const [
    SCHEME,
    USER,
    USER_END,
    PASSWORD,
    PASSWORD_END,
    HOST,
    HOST_END,
    PORT,
    PORT_END,
    PATH,
    QUERY,
    FRAGMENT,
  ] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12];

  // What natives take at a time: nothing stops them meanwhile.
  const MAX_TEXT = 256 * 1024;
  const MAX_PAIRS = 8192;

  /** Names and values of `application/x-www-form-urlencoded` text, one after the other. */
  web.readPairs = (text) => {
    if (text.length <= MAX_TEXT) return host.url.fromForm(text);
    const list = [];
    for (let at = 0; at < text.length;) {
      let end = text.indexOf("&", at + MAX_TEXT);
      if (end < 0) end = text.length;
      for (const part of host.url.fromForm(text.slice(at, end))) list.push(part);
      at = end + 1;
    }
    return list;
  };

  /** The text of such a list. */
  web.writePairs = (list) => {
    if (list.length <= MAX_PAIRS) return host.url.toForm(list);
    const texts = [];
    for (let at = 0; at < list.length; at += MAX_PAIRS)
      texts.push(host.url.toForm(list.slice(at, at + MAX_PAIRS)));
    return texts.join("&");
  };

  class URL {
    #record;
    #query = null;

    constructor(url, base = undefined) {
      const text = web.usv(url);
      const record = parse(text, base === undefined ? null : web.usv(base));
      if (!record) throw new TypeError(`Invalid URL: ${JSON.stringify(text.slice(0, 200))}`);
      this.#record = record;
    }

    static canParse(url, base = undefined) {
      return parse(web.usv(url), base === undefined ? null : web.usv(base)) !== undefined;
    }

    static parse(url, base = undefined) {
      const record = parse(web.usv(url), base === undefined ? null : web.usv(base));
      if (!record) return null;
      const made = new URL("about:blank");
      made.#record = record;
      return made;
    }

    get href() {
      return this.#record[0];
    }
    set href(value) {
      const text = web.usv(value);
      if (!this.#set("href", text)) throw new TypeError(`Invalid URL: ${JSON.stringify(text.slice(0, 200))}`);
    }

    get origin() {
      return origin(this.#record[0]);
    }

    get protocol() {
      return this.#slice(0, this.#record[SCHEME] + 1);
    }
    set protocol(value) {
      this.#set("protocol", web.usv(value));
    }

    get username() {
      return this.#slice(this.#record[USER], this.#record[USER_END]);
    }
    set username(value) {
      this.#set("username", web.usv(value));
    }

    get password() {
      return this.#slice(this.#record[PASSWORD], this.#record[PASSWORD_END]);
    }
    set password(value) {
      this.#set("password", web.usv(value));
    }

    get host() {
      return this.#slice(this.#record[HOST], this.#record[PORT_END]);
    }
    set host(value) {
      this.#set("host", web.usv(value));
    }

    get hostname() {
      return this.#slice(this.#record[HOST], this.#record[HOST_END]);
    }
    set hostname(value) {
      this.#set("hostname", web.usv(value));
    }

    get port() {
      return this.#slice(this.#record[PORT], this.#record[PORT_END]);
    }
    set port(value) {
      this.#set("port", web.usv(value));
    }

    get pathname() {
      const record = this.#record;
      const end =
        record[QUERY] >= 0 ? record[QUERY] : record[FRAGMENT] >= 0 ? record[FRAGMENT] : record[0].length;
      return this.#slice(record[PATH], end);
    }
    set pathname(value) {
      this.#set("pathname", web.usv(value));
    }

    get search() {
      const record = this.#record;
      if (record[QUERY] < 0) return "";
      const text = this.#slice(record[QUERY], record[FRAGMENT] >= 0 ? record[FRAGMENT] : record[0].length);
      return text === "?" ? "" : text;
    }
    set search(value) {
      this.#set("search", web.usv(value));
    }

    get searchParams() {
      this.#query ??= web.paramsOf(this.search, (text) => {
        this.#record = set(this.#record[0], "search", text) ?? this.#record;
      });
      return this.#query;
    }

    get hash() {
      const record = this.#record;
      if (record[FRAGMENT] < 0) return "";
      const text = this.#slice(record[FRAGMENT], record[0].length);
      return text === "#" ? "" : text;
    }
    set hash(value) {
      this.#set("hash", web.usv(value));
    }

    toString() {
      return this.#record[0];
    }

    toJSON() {
      return this.#record[0];
    }

    #slice(begin, end) {
      return this.#record[0].slice(begin, end);
    }

    #set(part, value) {
      const record = set(this.#record[0], part, value);
      if (!record) return false;
      this.#record = record;
      if (this.#query && (part === "href" || part === "search")) web.refillParams(this.#query, this.search);
      return true;
    }
  }

  class URLSearchParams {
    // Names and values, one after the other.
    #list = [];
    #changed = null;

    constructor(init = "") {
      if (init !== null && (typeof init === "object" || typeof init === "function")) this.#fill(init);
      else this.#list = URLSearchParams.#read(web.usv(init));
    }

    get size() {
      return this.#list.length / 2;
    }

    append(name, value) {
      this.#list.push(web.usv(name), web.usv(value));
      this.#update();
    }

    delete(name, value = undefined) {
      const key = web.usv(name);
      const wanted = value === undefined ? undefined : web.usv(value);
      const list = this.#list;
      for (let i = list.length - 2; i >= 0; i -= 2) {
        if (list[i] === key && (wanted === undefined || list[i + 1] === wanted)) list.splice(i, 2);
      }
      this.#update();
    }

    get(name) {
      const key = web.usv(name);
      for (let i = 0; i < this.#list.length; i += 2) {
        if (this.#list[i] === key) return this.#list[i + 1];
      }
      return null;
    }

    getAll(name) {
      const key = web.usv(name);
      return this.#list.filter((_, i) => i % 2 === 1 && this.#list[i - 1] === key);
    }

    has(name, value = undefined) {
      const key = web.usv(name);
      const wanted = value === undefined ? undefined : web.usv(value);
      for (let i = 0; i < this.#list.length; i += 2) {
        if (this.#list[i] === key && (wanted === undefined || this.#list[i + 1] === wanted)) return true;
      }
      return false;
    }

    set(name, value) {
      const key = web.usv(name);
      const text = web.usv(value);
      const list = this.#list;
      let at = -1;
      for (let i = list.length - 2; i >= 0; i -= 2) {
        if (list[i] !== key) continue;
        if (at >= 0) list.splice(at, 2);
        at = i;
      }
      if (at < 0) list.push(key, text);
      else list[at + 1] = text;
      this.#update();
    }

    sort() {
      const pairs = [...this];
      pairs.sort((a, b) => (a[0] < b[0] ? -1 : a[0] > b[0] ? 1 : 0));
      this.#list = pairs.flat();
      this.#update();
    }

    forEach(callback, thisArg = undefined) {
      if (typeof callback !== "function") throw new TypeError("The callback is not a function");
      for (const [name, value] of this) callback.call(thisArg, value, name, this);
    }

    *entries() {
      for (let i = 0; i < this.#list.length; i += 2) yield [this.#list[i], this.#list[i + 1]];
    }

    *keys() {
      for (let i = 0; i < this.#list.length; i += 2) yield this.#list[i];
    }

    *values() {
      for (let i = 0; i < this.#list.length; i += 2) yield this.#list[i + 1];
    }

    toString() {
      return web.writePairs(this.#list);
    }

    #fill(init) {
      const iterator = init[Symbol.iterator];
      if (iterator !== undefined && iterator !== null) {
        for (const pair of { [Symbol.iterator]: () => iterator.call(init) }) {
          if (pair === null || (typeof pair !== "object" && typeof pair !== "function")) {
            throw new TypeError("A parameter is a pair of name and value");
          }
          const both = [...pair];
          if (both.length !== 2) throw new TypeError("A parameter is a pair of name and value");
          this.#list.push(web.usv(both[0]), web.usv(both[1]));
        }
        return;
      }
      const record = new Map();
      for (const name of Reflect.ownKeys(init)) {
        if (Object.getOwnPropertyDescriptor(init, name)?.enumerable)
          record.set(web.usv(name), web.usv(init[name]));
      }
      this.#list = [...record].flat();
    }

    #update() {
      this.#changed?.(web.writePairs(this.#list));
    }

    static #read(text) {
      return web.readPairs(text.startsWith("?") ? text.slice(1) : text);
    }

    static {
      web.paramsOf = (text, changed) => {
        const params = new URLSearchParams(text);
        params.#changed = changed;
        return params;
      };
      web.refillParams = (params, text) => {
        params.#list = URLSearchParams.#read(text);
      };
      web.isParams = (value) => #list in value;
    }
  }

  const { entries } = URLSearchParams.prototype;
  web.idl(URL);
  web.idl(URLSearchParams);
  Object.defineProperty(URLSearchParams.prototype, Symbol.iterator, {
    value: entries,
    writable: true,
    configurable: true,
  });
});
