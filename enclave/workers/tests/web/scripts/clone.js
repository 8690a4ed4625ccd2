const clone = structuredClone;

test("primitives are themselves", () => {
  for (const value of [1, -0, NaN, "x", true, null, undefined, 12345678901234567890n])
    equal(clone(value), value);
});

test("objects, arrays and their holes are copied deeply", () => {
  const value = { a: [1, { b: 2 }], c: "x" };
  const copy = clone(value);
  equal(copy, value);
  ok(copy !== value && copy.a !== value.a && copy.a[1] !== value.a[1]);
  const holes = [1, , 3];
  holes.named = "n";
  const copied = clone(holes);
  equal([copied.length, 1 in copied, copied.named], [3, false, "n"]);
});

test("cycles and shared objects stay what they are", () => {
  const shared = {};
  const value = { shared, again: shared };
  value.self = value;
  const copy = clone(value);
  ok(copy.self === copy && copy.shared === copy.again && copy.shared !== shared);
});

test("built-in objects are copied", () => {
  const date = new Date(12345);
  equal(clone(date).getTime(), 12345);
  equal(Number.isNaN(clone(new Date(NaN)).getTime()), true);
  const expression = /a(b)/giu;
  expression.lastIndex = 3;
  equal([String(clone(expression)), clone(expression).lastIndex], ["/a(b)/giu", 0]);
  const map = new Map([[{ k: 1 }, new Set([1, "x"])]]);
  const [[key, set]] = [...clone(map)];
  equal([key, [...set]], [{ k: 1 }, [1, "x"]]);
  for (const boxed of [new Boolean(false), new Number(7), new String("s"), Object(5n)]) {
    const copy = clone(boxed);
    equal(
      [typeof copy, copy.valueOf(), Object.getPrototypeOf(copy) === Object.getPrototypeOf(boxed)],
      ["object", boxed.valueOf(), true],
    );
  }
});

test("buffers and views are copied, views keep sharing", () => {
  const bytes = new Uint8Array([1, 2, 3, 4]);
  const { a, b } = clone({ a: bytes.subarray(1, 3), b: new DataView(bytes.buffer) });
  equal([...a], [2, 3]);
  ok(a.buffer === b.buffer && a.buffer !== bytes.buffer && a.byteOffset === 1);
  equal([...clone(new Float64Array([1.5, -0]))], [1.5, -0]);
  equal(clone(new ArrayBuffer(8)).byteLength, 8);
  const growing = clone(new ArrayBuffer(2, { maxByteLength: 9 }));
  equal([growing.resizable, growing.maxByteLength], [true, 9]);
});

test("errors are copied with message, cause and kind", () => {
  const error = new RangeError("m", { cause: { c: 1 } });
  const copy = clone(error);
  ok(copy instanceof RangeError && copy !== error);
  equal([copy.name, copy.message, copy.cause], ["RangeError", "m", { c: 1 }]);
  class Mine extends Error {
    name = "Mine";
  }
  const mine = clone(new Mine("x"));
  equal([Object.getPrototypeOf(mine) === Error.prototype, mine.message], [true, "x"]);
  const dom = clone(new DOMException("m", "AbortError"));
  equal([dom instanceof DOMException, dom.name, dom.message], [true, "AbortError", "m"]);
});

test("prototypes, accessors and symbols are left behind", () => {
  class Point {
    x = 1;
    get y() {
      return 2;
    }
  }
  const copy = clone(Object.assign(new Point(), { [Symbol("s")]: 1 }));
  equal([Object.getPrototypeOf(copy) === Object.prototype, Object.keys(copy)], [true, ["x"]]);
  equal(
    clone({
      get a() {
        return 1;
      },
    }),
    { a: 1 },
  );
  const own = clone(JSON.parse('{"__proto__": {"polluted": 1}}'));
  equal([own.polluted, Object.hasOwn(own, "__proto__")], [undefined, true]);
});

test("what can't be cloned is refused", () => {
  for (const value of [
    () => {},
    Symbol("s"),
    { f() {} },
    new WeakMap(),
    new WeakRef({}),
    Promise.resolve(),
    [Symbol.iterator],
    new Response("x"),
    new Headers(),
    new Map([[1, () => {}]]),
  ]) {
    throws("DataCloneError", () => clone(value));
  }
  const error = new RangeError("thrown by a getter");
  equal(
    throws(RangeError, () =>
      clone({
        get a() {
          throw error;
        },
      }),
    ) === error,
    true,
  );
  throws(TypeError, () => clone());
});

test("transferred buffers move", () => {
  const buffer = new Uint8Array([1, 2, 3]).buffer;
  const copy = clone({ view: new Uint8Array(buffer, 1), buffer }, { transfer: [buffer] });
  equal([buffer.byteLength, [...copy.view], copy.view.buffer === copy.buffer], [0, [2, 3], true]);
  throws("DataCloneError", () => clone(buffer));
  throws("DataCloneError", () => clone(1, { transfer: [buffer] }));
  const twice = new ArrayBuffer(1);
  throws("DataCloneError", () => clone(1, { transfer: [twice, twice] }));
  throws("DataCloneError", () => clone(1, { transfer: [{}] }));
  const kept = new ArrayBuffer(4);
  throws("DataCloneError", () => clone({ kept, f() {} }, { transfer: [kept] }));
  equal(kept.byteLength, 4);
});

test("blobs and files are copied", async () => {
  const file = clone(new File(["text"], "n.txt", { type: "text/plain", lastModified: 5 }));
  equal(
    [file instanceof File, file.name, file.type, file.lastModified, await file.text()],
    [true, "n.txt", "text/plain", 5, "text"],
  );
  const blob = clone(new Blob(["b"]));
  equal([blob instanceof File, await blob.text()], [false, "b"]);
});
