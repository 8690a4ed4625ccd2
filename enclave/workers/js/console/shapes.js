// What each kind of object shows: what stands before its braces, and what is between them.
(function (host, web) {
  "use strict";

  web.need("console-texts");
  const { quoted, plural, primitive, className, tagOf, prefix, functionText, errorText } = web.consoleTexts;
  const ITEMS = 100;
  const KEYS = 1000;
  const LISTED = 10000;
  const IDENTIFIER = /^[a-zA-Z_][a-zA-Z_0-9]*$/;
  const { getPrototypeOf, getOwnPropertyDescriptor } = Object;
  const enumerable = Function.prototype.call.bind(Object.prototype.propertyIsEnumerable);
  const TypedArray = getPrototypeOf(Uint8Array.prototype);
  const typedName = getOwnPropertyDescriptor(TypedArray, Symbol.toStringTag).get;

  // Keys to show. Of long lists only the items are shown: listing all indices would take too long.
  const keysOf = (value, skipIndices) => {
    if (skipIndices && value.length > LISTED) return [];
    let keys = Object.keys(value);
    if (skipIndices) keys = keys.filter((key) => !/^(0|[1-9][0-9]{0,9})$/.test(key));
    const symbols = Object.getOwnPropertySymbols(value).filter((key) => enumerable(value, key));
    return symbols.length > 0 ? [...keys, ...symbols] : keys;
  };

  const keyText = (key) => {
    if (typeof key === "symbol") return `[${Symbol.prototype.toString.call(key)}]`;
    return IDENTIFIER.test(key) ? key : quoted(key);
  };

  const nested = (value, state) => {
    state.indent += 2;
    try {
      return web.consoleShow(value, state);
    } finally {
      state.indent -= 2;
    }
  };

  const property = (object, key, state, bare = false) => {
    const descriptor = getOwnPropertyDescriptor(object, key) ?? { value: object[key] };
    let text;
    if (descriptor.get !== undefined) text = descriptor.set !== undefined ? "[Getter/Setter]" : "[Getter]";
    else if (descriptor.set !== undefined) text = "[Setter]";
    else text = nested(descriptor.value, state);
    if (bare) return text;
    const hidden = descriptor.enumerable === false && typeof key === "string";
    return `${hidden ? `[${key}]` : keyText(key)}: ${text}`;
  };

  const properties = (value, keys, state, out) => {
    for (const key of keys.slice(0, KEYS)) {
      if (spent(state)) break;
      out.push(property(value, key, state));
    }
    if (keys.length > KEYS) out.push(`... ${keys.length - KEYS} more`);
    return out;
  };

  const spent = (state) => state.left <= 0;

  const arrayItems = (value, state) => {
    const out = [];
    const length = value.length;
    let at = 0;
    let keys;
    while (at < length && out.length < ITEMS && !spent(state)) {
      if (Object.hasOwn(value, at)) {
        out.push(property(value, String(at), state, true));
        at++;
      } else {
        // Holes: the next index that is there, of those that can be.
        const from = at;
        keys ??= Object.keys(value);
        while (at < length && !Object.hasOwn(value, at)) {
          if (at - from > 1000) {
            const next = keys.find((key) => Number(key) > at && Number(key) < length);
            at = next === undefined ? length : Number(next);
          } else {
            at++;
          }
        }
        const count = at - from;
        out.push(`<${count} empty item${count > 1 ? "s" : ""}>`);
      }
    }
    if (at < length) out.push(`... ${plural(length - at, "item")}`);
    return out;
  };

  const limited = (items, size, state, each) => {
    const out = [];
    for (const item of items) {
      if (out.length >= ITEMS || spent(state)) {
        out.push(`... ${plural(size - out.length, "item")}`);
        break;
      }
      out.push(each(item));
    }
    return out;
  };

  const typedItems = (value, state) => {
    const out = [];
    const length = value.length;
    for (let at = 0; at < length && at < ITEMS; at++) out.push(primitive(value[at], state));
    if (length > ITEMS) out.push(`... ${plural(length - ITEMS, "item")}`);
    return out;
  };

  const contents = (buffer) => {
    const bytes = new Uint8Array(buffer, 0, Math.min(50, buffer.byteLength));
    const shown = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join(" ");
    const rest = buffer.byteLength - bytes.length;
    return `<${shown}${rest > 0 ? ` ... ${plural(rest, "byte")}` : ""}>`;
  };

  // Objects of the web whose state is behind getters.
  const WEB = {
    __proto__: null,
    Headers: (value) => Object.fromEntries(value),
    URL: (value) =>
      picked(value, [
        "href",
        "origin",
        "protocol",
        "username",
        "password",
        "host",
        "hostname",
        "port",
        "pathname",
        "search",
        "searchParams",
        "hash",
      ]),
    URLSearchParams: (value) => new Map(value),
    FormData: (value) => Object.fromEntries(value),
    File: (value) => picked(value, ["size", "type", "name", "lastModified"]),
    Blob: (value) => picked(value, ["size", "type"]),
    Request: (value) => picked(value, ["method", "url", "headers", "redirect", "bodyUsed"]),
    Response: (value) =>
      picked(value, ["status", "statusText", "headers", "ok", "redirected", "bodyUsed", "url"]),
    CryptoKey: (value) => picked(value, ["type", "extractable", "algorithm", "usages"]),
    AbortSignal: (value) => picked(value, value.aborted ? ["aborted", "reason"] : ["aborted"]),
    Event: (value) => picked(value, ["type", "cancelable", "defaultPrevented", "timeStamp"]),
    ReadableStream: (value) => picked(value, ["locked"]),
    WritableStream: (value) => picked(value, ["locked"]),
    TransformStream: (value) => picked(value, ["readable", "writable"]),
  };
  const picked = (value, names) => Object.fromEntries(names.map((name) => [name, value[name]]));
  const webState = (value) => {
    for (const name in WEB) {
      const type = web[name];
      if (type === undefined || !(value instanceof type)) continue;
      try {
        return WEB[name](value);
      } catch {
        return undefined;
      }
    }
    return undefined;
  };

  const boxed = (value) => {
    for (const [type, name] of [
      [Number, "Number"],
      [String, "String"],
      [Boolean, "Boolean"],
      [BigInt, "BigInt"],
      [Symbol, "Symbol"],
    ]) {
      try {
        return [name, type.prototype.valueOf.call(value)];
      } catch {
        // Not one of these.
      }
    }
    return undefined;
  };

  const is = (method, value) => {
    try {
      method.call(value);
      return true;
    } catch {
      return false;
    }
  };
  const sizeOf = (type) => getOwnPropertyDescriptor(type.prototype, "size").get;
  const mapSize = sizeOf(Map);
  const setSize = sizeOf(Set);
  const bufferLength = getOwnPropertyDescriptor(ArrayBuffer.prototype, "byteLength").get;
  const flags = getOwnPropertyDescriptor(RegExp.prototype, "flags").get;
  const slots = (value) => Object.prototype.toString.call(value);

  // Braces, what stands before them, and what is between.
  const parts = (value, state) => {
    const name = className(value);
    const tag = tagOf(value, name);
    const typed = ArrayBuffer.isView(value) ? typedName.call(value) : undefined;
    const list = (open, close, base, entries, keys, size = 1) => ({ open, close, base, entries, keys, size });
    if (Array.isArray(value)) {
      const before = name === "Array" && tag === "" ? "" : prefix(name, tag, "Array", `(${value.length})`);
      return {
        ...list(`${before}[`, "]", "", () => arrayItems(value, state), keysOf(value, true), value.length),
        array: true,
      };
    }
    if (typed !== undefined) {
      const before = prefix(name, tag === typed ? "" : tag, typed, `(${value.length})`);
      return {
        ...list(`${before}[`, "]", "", () => typedItems(value, state), keysOf(value, true), value.length),
        array: true,
      };
    }
    const keys = keysOf(value, false);
    if (typeof value === "function") return list("{", "}", functionText(value, name), undefined, keys);
    if (is(mapSize, value)) {
      const pairs = () =>
        limited(
          Map.prototype.entries.call(value),
          value.size,
          state,
          ([key, item]) => `${nested(key, state)} => ${nested(item, state)}`,
        );
      return list(
        `${prefix(name, tag, "Map", `(${mapSize.call(value)})`)}{`,
        "}",
        "",
        pairs,
        keys,
        value.size,
      );
    }
    if (is(setSize, value)) {
      const items = () =>
        limited(Set.prototype.values.call(value), value.size, state, (item) => nested(item, state));
      return list(
        `${prefix(name, tag, "Set", `(${setSize.call(value)})`)}{`,
        "}",
        "",
        items,
        keys,
        value.size,
      );
    }
    if (value instanceof Error || slots(value) === "[object Error]") {
      const hidden = ["cause", "errors"].filter((key) => Object.hasOwn(value, key) && !keys.includes(key));
      const shown = keys.filter((key) => !["name", "message", "stack"].includes(key));
      return list("{", "}", errorText(value, name, state), undefined, [...shown, ...hidden]);
    }
    if (slots(value) === "[object Arguments]") return list("[Arguments] {", "}", "", undefined, keys);
    if (value instanceof RegExp && is(RegExp.prototype.exec, value)) {
      return list("{", "}", `/${value.source}/${flags.call(value)}`, undefined, keys);
    }
    if (is(Date.prototype.getTime, value)) {
      const time = Date.prototype.getTime.call(value);
      const text = Number.isNaN(time) ? "Invalid Date" : Date.prototype.toISOString.call(value);
      return list("{", "}", text, undefined, keys);
    }
    const before = prefix(name, tag, "Object");
    if (is(bufferLength, value)) {
      const about = () => [`[Uint8Contents]: ${contents(value)}`, `byteLength: ${bufferLength.call(value)}`];
      return list(`${before}{`, "}", "", about, keys);
    }
    if (ArrayBuffer.isView(value)) {
      const about = () =>
        ["byteLength", "byteOffset", "buffer"].map((key) => `${key}: ${nested(value[key], state)}`);
      return list(`${before}{`, "}", "", about, keys);
    }
    if (value instanceof Promise) {
      const settled = host.promiseState(value);
      const about = () => {
        if (settled === undefined) return ["<pending>"];
        const text = nested(settled[1], state);
        return [settled[0] ? text : `<rejected> ${text}`];
      };
      return list(`${prefix(name, tag, "Promise")}{`, "}", "", about, keys);
    }
    if (value instanceof WeakMap || value instanceof WeakSet) {
      return list(`${before}{`, "}", "", () => ["<items unknown>"], keys);
    }
    const inner = boxed(value);
    if (inner !== undefined) {
      const text = typeof inner[1] === "string" ? quoted(inner[1]) : primitive(inner[1], state);
      const indices = typeof inner[1] === "string" ? keysOf(value, true) : keys;
      return list(
        "{",
        "}",
        `[${inner[0]}${name === inner[0] ? "" : ` (${name})`}: ${text}]`,
        undefined,
        indices,
      );
    }
    const seen = webState(value);
    if (seen !== undefined) {
      const entries = () =>
        seen instanceof Map
          ? limited(
              seen,
              seen.size,
              state,
              ([key, item]) => `${nested(key, state)} => ${nested(item, state)}`,
            )
          : properties(seen, keysOf(seen, false), state, []);
      return list(`${prefix(name, tag, "Object")}{`, "}", "", entries, []);
    }
    const plain = name === "Object" && tag === "";
    return list(plain ? "{" : `${before}{`, "}", "", undefined, keys);
  };

  web.consoleShapes = { ITEMS, parts, properties, spent };
});
