// What all of Web Crypto needs: errors by name, natives that throw them, Web IDL's conversions.
(function (host, web) {
  "use strict";

  const getter = (object, name) => Object.getOwnPropertyDescriptor(object, name).get;
  const call = Function.prototype.call;
  const unbound = (method) => call.bind(method);
  const TypedArray = Object.getPrototypeOf(Uint8Array.prototype);
  const typeName = unbound(getter(TypedArray, Symbol.toStringTag));
  const place = (type) => ["buffer", "byteOffset", "byteLength"].map((name) => getter(type, name));
  const arrayPlace = place(TypedArray);
  const viewPlace = place(DataView.prototype);
  const bufferLength = unbound(getter(ArrayBuffer.prototype, "byteLength"));

  const fail = web.dom;

  // Bytes of any view, whatever its type, without a copy.
  const bytesOf = (view) => {
    const type = typeName(view);
    if (type === "Uint8Array") return view;
    const [buffer, offset, length] = type === undefined ? viewPlace : arrayPlace;
    return new Uint8Array(call.call(buffer, view), call.call(offset, view), call.call(length, view));
  };

  // A BufferSource as Uint8Array.
  const source = (value, what) => {
    if (ArrayBuffer.isView(value)) return bytesOf(value);
    try {
      bufferLength(value);
    } catch {
      throw new TypeError(`${what} has to be an ArrayBuffer or a view of one`);
    }
    return new Uint8Array(value);
  };

  // An unsigned integer with [EnforceRange].
  const integer = (value, max, what) => {
    const number = Math.trunc(Number(value));
    if (!(number >= 0 && number <= max)) throw new TypeError(`${what} has to be a number from 0 to ${max}`);
    return number + 0;
  };

  const required = (object, member) => {
    const value = object[member];
    if (value === undefined) throw new TypeError(`the member ${member} is required`);
    return value;
  };

  const count = (given, wanted, what) => {
    if (given < wanted) throw new TypeError(`${what} takes ${wanted} arguments, not ${given}`);
  };

  // What natives refuse comes as an error "NAME: text".
  const KNOWN = /^(OperationError|DataError|NotSupportedError|QuotaExceededError): (.*)$/;
  const translated =
    (native) =>
    (...given) => {
      try {
        return native(...given);
      } catch (error) {
        const known = error instanceof Error && error.name === "Error" ? KNOWN.exec(error.message) : null;
        throw known === null ? error : fail(known[1], known[2]);
      }
    };

  let natives;
  web.cryptoBase = {
    fail,
    bytesOf,
    typeName,
    source,
    integer,
    required,
    count,
    // The natives, made when they are first needed.
    get native() {
      if (natives === undefined) {
        natives = { __proto__: null };
        for (const [name, native] of Object.entries(host.crypto())) natives[name] = translated(native);
      }
      return natives;
    },
  };
});
