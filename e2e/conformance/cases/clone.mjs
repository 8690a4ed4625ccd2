import { bytes, show, thrown } from "./tools.mjs";

export default {
  "values": () => structuredClone([1, -0, NaN, "s", true, null, undefined, 10n]),
  "objects of the language": () => structuredClone({ date: new Date(5), map: new Map([[1, { a: 2 }]]), set: new Set([1, "b"]), bytes: bytes("x"), buffer: bytes("yz").buffer }),
  "a regular expression": () => { const copy = structuredClone(/a+/giu); return [String(copy), copy.lastIndex]; },
  "wrapped values": () => [structuredClone(new Number(1)), structuredClone(new String("s")), structuredClone(new Boolean(false))].map((each) => [typeof each, each.valueOf()]),
  "errors": () => { const error = new RangeError("text", { cause: 1 }); const copy = structuredClone(error); return [copy.name, copy.message, copy instanceof RangeError, copy !== error]; },
  "cycles and shared parts": () => { const shared = {}; const value = { a: shared, b: shared }; value.self = value; const copy = structuredClone(value); return [copy.self === copy, copy.a === copy.b, copy !== value]; },
  "holes and own names of a list": () => { const list = [1, , 3]; list.extra = "x"; const copy = structuredClone(list); return [copy.length, 1 in copy, copy.extra]; },
  "a prototype is lost": () => { class A { b = 1; get c() { return 2; } } const copy = structuredClone(new A()); return [copy.constructor === Object, copy.b, copy.c]; },
  "getters are read": () => structuredClone({ get a() { return 1; } }),
  "symbols aren't copied": () => Reflect.ownKeys(structuredClone({ [Symbol("x")]: 1, a: 2 })).length,
  "what can't be": () => Promise.all([() => {}, Symbol("x"), new WeakMap(), Promise.resolve(), { a: () => {} }].map((value) => thrown(() => structuredClone(value)))),
  "views keep their buffer": () => { const buffer = new ArrayBuffer(8); const { a, b } = structuredClone({ a: new Uint8Array(buffer, 2, 3), b: new DataView(buffer, 1) }); return [a.buffer === b.buffer, a.byteOffset, a.length, b.byteOffset, b.byteLength]; },
  "a buffer may be handed over": () => { const buffer = bytes("abc").buffer; const copy = structuredClone(buffer, { transfer: [buffer] }); return [buffer.byteLength, copy.byteLength]; },
  "a buffer twice": () => { const buffer = new ArrayBuffer(1); return thrown(() => structuredClone(buffer, { transfer: [buffer, buffer] })); },
};
