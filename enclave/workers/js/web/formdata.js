(function (host, web) {
  "use strict";

  web.need("blob");

  const entryValue = (value, fileName, given) => {
    if (!web.isBlob(value)) {
      if (given) throw new TypeError("A value with a file name is a Blob");
      return web.usv(value);
    }
    if (web.isFile(value) && !given) return value;
    const name = given ? web.usv(fileName) : "blob";
    return web.makeFile(
      web.blobBytes(value),
      name,
      value.type,
      web.isFile(value) ? value.lastModified : undefined,
    );
  };

  class FormData {
    // [name, value] each.
    #entries = [];

    constructor(form = undefined) {
      if (form !== undefined) throw new TypeError("There are no form elements here");
    }

    append(name, value, fileName = undefined) {
      this.#entries.push([web.usv(name), entryValue(value, fileName, arguments.length > 2)]);
    }

    delete(name) {
      const key = web.usv(name);
      this.#entries = this.#entries.filter((entry) => entry[0] !== key);
    }

    get(name) {
      const key = web.usv(name);
      return this.#entries.find((entry) => entry[0] === key)?.[1] ?? null;
    }

    getAll(name) {
      const key = web.usv(name);
      return this.#entries.filter((entry) => entry[0] === key).map((entry) => entry[1]);
    }

    has(name) {
      const key = web.usv(name);
      return this.#entries.some((entry) => entry[0] === key);
    }

    set(name, value, fileName = undefined) {
      const key = web.usv(name);
      const entry = [key, entryValue(value, fileName, arguments.length > 2)];
      const at = this.#entries.findIndex((other) => other[0] === key);
      if (at < 0) {
        this.#entries.push(entry);
        return;
      }
      this.#entries = this.#entries.filter((other, i) => i === at || other[0] !== key);
      this.#entries[at] = entry;
    }

    forEach(callback, thisArg = undefined) {
      if (typeof callback !== "function") throw new TypeError("The callback is not a function");
      for (const [name, value] of this) callback.call(thisArg, value, name, this);
    }

    *entries() {
      for (let i = 0; i < this.#entries.length; i++) yield [...this.#entries[i]];
    }

    *keys() {
      for (let i = 0; i < this.#entries.length; i++) yield this.#entries[i][0];
    }

    *values() {
      for (let i = 0; i < this.#entries.length; i++) yield this.#entries[i][1];
    }

    static {
      web.isFormData = (value) => #entries in value;
      web.formEntries = (form) => form.#entries;
    }
  }

  const { entries } = FormData.prototype;
  web.idl(FormData);
  Object.defineProperty(FormData.prototype, Symbol.iterator, {
    value: entries,
    writable: true,
    configurable: true,
  });

  const lines = (text) => text.replace(/\r\n|\r|\n/g, "\r\n");
  const escape = (text) => text.replace(/\n/g, "%0A").replace(/\r/g, "%0D").replace(/"/g, "%22");

  /** A form's body, and its type. */
  web.writeMultipart = (form) => {
    const digits = [...host.random(16)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
    const boundary = `----jeju-form-${digits}`;
    const pieces = [];
    for (const [name, value] of web.formEntries(form)) {
      const field = `--${boundary}\r\nContent-Disposition: form-data; name="${escape(lines(name))}"`;
      if (typeof value === "string") {
        pieces.push(web.encode(`${field}\r\n\r\n${lines(value)}\r\n`));
        continue;
      }
      const type = value.type || "application/octet-stream";
      pieces.push(web.encode(`${field}; filename="${escape(value.name)}"\r\nContent-Type: ${type}\r\n\r\n`));
      pieces.push(web.blobBytes(value), web.encode("\r\n"));
    }
    pieces.push(web.encode(`--${boundary}--\r\n`));
    return [web.concat(pieces), `multipart/form-data; boundary=${boundary}`];
  };

  const readMultipart = (bytes, type) => {
    const boundary = /;\s*boundary=(?:"([^"]*)"|([^;\s]*))/i.exec(type);
    const parts = boundary && host.multipart(bytes, web.usv(boundary[1] ?? boundary[2]));
    if (!parts) throw new TypeError("The body is not a multipart form");
    const form = new FormData();
    for (let i = 0; i < parts.length; i += 5) {
      const [name, fileName, mediaType, begin, end] = parts.slice(i, i + 5);
      const value = bytes.subarray(begin, end);
      if (typeof fileName === "string")
        form.append(name, web.makeFile(value.slice(), fileName, mediaType ?? "text/plain"));
      else form.append(name, web.decode(value));
    }
    return form;
  };

  /** The form that a body of a type is. */
  web.readForm = (bytes, type) => {
    const essence = type.split(";")[0].trim().toLowerCase();
    if (essence === "multipart/form-data") return readMultipart(bytes, type);
    if (essence !== "application/x-www-form-urlencoded") {
      throw new TypeError(`A body of type ${JSON.stringify(type)} is not a form`);
    }
    web.need("url");
    const list = web.readPairs(web.decode(bytes));
    const form = new FormData();
    for (let i = 0; i < list.length; i += 2) form.append(list[i], list[i + 1]);
    return form;
  };
});
