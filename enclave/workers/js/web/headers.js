(function (host, web) {
  "use strict";

  const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
  const ILLEGAL = /[\0\r\n]|[^\0-\xff]/;
  const SPACE = 32;
  const AROUND = /^[\t\n\r ]+|[\t\n\r ]+$/g;

  // Names that were read, in lower case: most are asked for again and again.
  const names = new Map();
  const MOST_NAMES = 64;

  const fieldName = (name) => (typeof name === "string" && names.get(name)) || readName(name);

  const readName = (name) => {
    const text = `${name}`;
    if (!TOKEN.test(text)) throw new TypeError(`Invalid header name: ${JSON.stringify(text)}`);
    const key = text.toLowerCase();
    if (names.size < MOST_NAMES && text.length <= MOST_NAMES) names.set(text, key);
    return key;
  };

  const fieldValue = (name, value) => {
    let text = `${value}`;
    if (text.charCodeAt(0) <= SPACE || text.charCodeAt(text.length - 1) <= SPACE) text = text.replace(AROUND, "");
    if (ILLEGAL.test(text)) throw new TypeError(`Invalid value of header ${name}`);
    return text;
  };

  class Headers {
    // Names in lower case and values, one after the other, in their order.
    #list = [];
    #sorted = null;
    #immutable = false;

    constructor(init = undefined) {
      if (init !== undefined) Headers.#fill(this, init);
    }

    append(name, value) {
      const key = fieldName(name);
      const text = fieldValue(key, value);
      this.#change().push(key, text);
    }

    delete(name) {
      const key = fieldName(name);
      const list = this.#change();
      for (let i = list.length - 2; i >= 0; i -= 2) {
        if (list[i] === key) list.splice(i, 2);
      }
    }

    get(name) {
      const key = fieldName(name);
      const list = this.#list;
      let found = null;
      for (let i = 0; i < list.length; i += 2) {
        if (list[i] === key) found = found === null ? list[i + 1] : `${found}, ${list[i + 1]}`;
      }
      return found;
    }

    getSetCookie() {
      return this.#list.filter((_, i) => i % 2 === 1 && this.#list[i - 1] === "set-cookie");
    }

    has(name) {
      const key = fieldName(name);
      const list = this.#list;
      for (let i = 0; i < list.length; i += 2) {
        if (list[i] === key) return true;
      }
      return false;
    }

    set(name, value) {
      const key = fieldName(name);
      const text = fieldValue(key, value);
      const list = this.#change();
      let at = -1;
      for (let i = list.length - 2; i >= 0; i -= 2) {
        if (list[i] !== key) continue;
        if (at >= 0) list.splice(at, 2);
        at = i;
      }
      if (at < 0) list.push(key, text);
      else list[at + 1] = text;
    }

    forEach(callback, thisArg = undefined) {
      if (typeof callback !== "function") throw new TypeError("The callback is not a function");
      for (const [name, value] of this) callback.call(thisArg, value, name, this);
    }

    *entries() {
      for (let i = 0; i < this.#pairs().length; i++) yield [...this.#pairs()[i]];
    }

    *keys() {
      for (let i = 0; i < this.#pairs().length; i++) yield this.#pairs()[i][0];
    }

    *values() {
      for (let i = 0; i < this.#pairs().length; i++) yield this.#pairs()[i][1];
    }

    #change() {
      if (this.#immutable) throw new TypeError("The headers are immutable");
      this.#sorted = null;
      return this.#list;
    }

    // Sorted and combined, but for cookies.
    #pairs() {
      if (this.#sorted) return this.#sorted;
      const list = this.#list;
      const combined = new Map();
      const cookies = [];
      for (let i = 0; i < list.length; i += 2) {
        const name = list[i];
        if (name === "set-cookie") cookies.push([name, list[i + 1]]);
        else combined.set(name, combined.has(name) ? `${combined.get(name)}, ${list[i + 1]}` : list[i + 1]);
      }
      const pairs = [...combined, ...cookies];
      pairs.sort((a, b) => (a[0] < b[0] ? -1 : a[0] > b[0] ? 1 : 0));
      this.#sorted = pairs;
      return pairs;
    }

    static #fill(headers, init) {
      if (init === null || (typeof init !== "object" && typeof init !== "function")) {
        throw new TypeError("Headers are made of an object or of pairs");
      }
      if (#list in init && init[Symbol.iterator] === entries) {
        headers.#list = init.#list.slice();
        return;
      }
      const iterator = init[Symbol.iterator];
      if (iterator !== undefined && iterator !== null) {
        for (const pair of { [Symbol.iterator]: () => iterator.call(init) }) {
          if (pair === null || typeof pair !== "object")
            throw new TypeError("A header is a pair of name and value");
          const both = [...pair];
          if (both.length !== 2) throw new TypeError("A header is a pair of name and value");
          headers.append(both[0], both[1]);
        }
        return;
      }
      for (const name of Reflect.ownKeys(init)) {
        if (Object.getOwnPropertyDescriptor(init, name)?.enumerable) headers.append(name, init[name]);
      }
    }

    static {
      /** Headers of a list that nobody else changes. */
      web.adoptHeaders = (list, immutable) => {
        const headers = new Headers();
        headers.#list = list;
        headers.#immutable = immutable;
        return headers;
      };
      /** Names the type of a body, unless that was done. */
      web.nameType = (headers, type) => {
        const list = headers.#list;
        for (let i = 0; i < list.length; i += 2) if (list[i] === "content-type") return;
        headers.append("content-type", type);
      };
      /** Headers with nothing but a body's type, which is well-formed. */
      web.typeHeaders = (type) => {
        const headers = new Headers();
        headers.#list.push("content-type", type);
        return headers;
      };
      /** The list of headers: not to be changed. */
      web.listHeaders = (headers) => headers.#list;
      web.freezeHeaders = (headers) => {
        headers.#immutable = true;
        return headers;
      };
    }
  }

  const { entries } = Headers.prototype;
  web.idl(Headers);
  Object.defineProperty(Headers.prototype, Symbol.iterator, {
    value: entries,
    writable: true,
    configurable: true,
  });
});
