(function (host, web) {
  "use strict";

  const ERRORS = { Error, EvalError, RangeError, ReferenceError, SyntaxError, TypeError, URIError };
  const fail = (what) => web.dom("DataCloneError", `${what} could not be cloned`);
  const getter = (prototype, name) => Object.getOwnPropertyDescriptor(prototype, name).get;

  // What a value is inside, whatever its prototype says: these throw on anything else.
  const KINDS = [
    ["Boxed", Boolean.prototype.valueOf],
    ["Boxed", Number.prototype.valueOf],
    ["Boxed", String.prototype.valueOf],
    ["Boxed", BigInt.prototype.valueOf],
    ["Date", Date.prototype.getTime],
    ["Map", getter(Map.prototype, "size")],
    ["Set", getter(Set.prototype, "size")],
    ["ArrayBuffer", getter(ArrayBuffer.prototype, "byteLength")],
    ["RegExp", getter(RegExp.prototype, "global")],
  ];
  const UNCLONEABLE = [Promise, WeakMap, WeakSet, WeakRef, FinalizationRegistry];

  const passes = (test, value) => {
    try {
      test.call(value);
      return true;
    } catch {
      return false;
    }
  };

  const kindOf = (value) => {
    if (Array.isArray(value)) return "Array";
    if (ArrayBuffer.isView(value)) return "View";
    if (value instanceof web.DOMException) return "DOMException";
    if (Error.isError(value)) return "Error";
    const prototype = Object.getPrototypeOf(value);
    if (prototype === Object.prototype || prototype === null) return "Object";
    if (web.isBlob?.(value)) return "Blob";
    if (web.cryptoKeys?.isKey(value)) return "CryptoKey";
    for (const [kind, test] of KINDS) {
      if (value !== RegExp.prototype && passes(test, value)) return kind;
    }
    // Objects of the web's classes have state that their properties don't show.
    const foreign = [...UNCLONEABLE, web[value[Symbol.toStringTag]]].find(
      (type) => type?.prototype && value instanceof type,
    );
    if (foreign) throw fail(`A ${foreign.name}`);
    return "Object";
  };

  // `seen` has the copies so far, `views` the places of views on buffers that are transferred.
  const makeCloner = (seen, views, transferred) => {
    const clone = (value) => {
      if (typeof value === "symbol") throw fail("A symbol");
      if (typeof value === "function") throw fail(`The function ${value.name}`);
      if (value === null || typeof value !== "object") return value;
      if (seen.has(value)) return seen.get(value);
      return copies[kindOf(value)](value);
    };

    const keep = (value, copy) => {
      seen.set(value, copy);
      return copy;
    };

    const fill = (value, copy) => {
      for (const key of Object.keys(value)) {
        if (!Object.hasOwn(value, key)) continue;
        const member = clone(value[key]);
        Object.defineProperty(copy, key, {
          value: member,
          writable: true,
          enumerable: true,
          configurable: true,
        });
      }
      return copy;
    };

    const copies = {
      Boxed: (value) => keep(value, Object(value.valueOf())),
      Date: (value) => keep(value, new Date(Date.prototype.getTime.call(value))),
      RegExp: (value) => keep(value, new RegExp(value.source, value.flags)),
      Blob: (value) => keep(value, web.copyBlob(value)),
      CryptoKey: (value) => keep(value, web.cryptoKeys.copy(value)),
      DOMException: (value) => keep(value, web.dom(value.name, value.message)),
      Object: (value) => fill(value, keep(value, {})),
      Array: (value) => fill(value, keep(value, new Array(value.length))),
      ArrayBuffer: (value) => {
        if (value.detached) throw fail("A detached buffer");
        return keep(value, value.resizable ? copyResizable(value) : value.slice(0));
      },
      View: (value) => {
        const place = views.get(value) ?? placeOf(value);
        if (transferred.has(place.buffer)) views.set(value, place);
        const Type = place.type;
        return keep(value, new Type(clone(place.buffer), place.offset, place.length));
      },
      Map: (value) => {
        const copy = keep(value, new Map());
        for (const [key, member] of [...Map.prototype.entries.call(value)])
          copy.set(clone(key), clone(member));
        return copy;
      },
      Set: (value) => {
        const copy = keep(value, new Set());
        for (const member of [...Set.prototype.values.call(value)]) copy.add(clone(member));
        return copy;
      },
      Error: (value) => {
        const name = `${value.name}`;
        const Type = Object.hasOwn(ERRORS, name) ? ERRORS[name] : Error;
        const made = keep(value, new Type());
        const set = (key, member) =>
          Object.defineProperty(made, key, { value: member, writable: true, configurable: true });
        const message = Object.getOwnPropertyDescriptor(value, "message");
        if (message && "value" in message) set("message", `${message.value}`);
        set("stack", typeof value.stack === "string" ? value.stack : "");
        if (Object.hasOwn(value, "cause")) set("cause", clone(value.cause));
        return made;
      },
    };
    return clone;
  };

  const copyResizable = (buffer) => {
    const copy = new ArrayBuffer(buffer.byteLength, { maxByteLength: buffer.maxByteLength });
    new Uint8Array(copy).set(new Uint8Array(buffer));
    return copy;
  };

  const TypedArray = Object.getPrototypeOf(Uint8Array.prototype);
  const typeOf = getter(TypedArray, Symbol.toStringTag);
  const placeOf = (view) => {
    const name = typeOf.call(view);
    if (view.buffer.detached) throw fail("A view on a detached buffer");
    return {
      type: name === undefined ? DataView : TYPES[name],
      buffer: view.buffer,
      offset: view.byteOffset,
      length: name === undefined ? view.byteLength : view.length,
    };
  };
  const TYPES = {
    Int8Array,
    Uint8Array,
    Uint8ClampedArray,
    Int16Array,
    Uint16Array,
    Int32Array,
    Uint32Array,
    BigInt64Array,
    BigUint64Array,
    Float32Array,
    Float64Array,
  };
  if (typeof Float16Array === "function") TYPES.Float16Array = Float16Array;

  web.structuredClone = function structuredClone(value, options = undefined) {
    if (arguments.length === 0) throw new TypeError("There is nothing to clone");
    const transfer = [...(web.dictionary(options, "The options").transfer ?? [])];
    const transferred = new Set(transfer);
    if (transferred.size < transfer.length) throw web.dom("DataCloneError", "A buffer is transferred twice");
    for (const buffer of transfer) {
      if (!(buffer instanceof ArrayBuffer)) throw web.dom("DataCloneError", "A value is not transferable");
      if (buffer.detached) throw web.dom("DataCloneError", "A buffer is detached");
    }
    const views = new Map();
    // Buffers stay with the worker where something else can't be cloned.
    const trial = makeCloner(new Map(transfer.map((buffer) => [buffer, buffer])), views, transferred)(value);
    if (transfer.length === 0) return trial;
    const moved = new Map(transfer.map((buffer) => [buffer, buffer.transfer()]));
    return makeCloner(moved, views, transferred)(value);
  };
});
