// Values that `console.log` is given, one call after another; `console.json` has what Node makes of them.
const cases = [];
class Foo {
  constructor() {
    this.a = 1;
  }
}
class Bar extends Foo {}
class Arr extends Array {}
const cyc = { name: "x" };
cyc.self = cyc;
cyc.list = [cyc, { cyc }];
const sym = Symbol("s");
const L = (...a) => cases.push(a);
L("plain");
L(1, "a", true, null, undefined, 10n, -0, sym);
L({});
L([]);
L({ a: 1, b: "two", c: [1, 2, 3] });
L([1, "a", { b: 2 }]);
L({ a: { b: { c: { d: 1 } } } });
L([[[[1]]]]);
L({ "a-b": 1, 2: 3, [sym]: 4 });
L(new Foo());
L(new Bar());
L(Foo);
L(Bar);
L(class {});
L(function f() {});
L(() => {});
L(async () => {});
L(function* g() {});
L(async function* ag() {});
L(Object.assign(function h() {}, { x: 1 }));
L(Map);
L(Math.max);
L(
  new Map([
    ["a", 1],
    [{ x: 1 }, [2]],
  ]),
);
L(new Set([1, "b"]));
L(new WeakMap());
L(new Map());
L(new Set());
L(Promise.resolve(4));
L(new Promise(() => {}));
L(new Date(0));
L(new Date(NaN));
L(/a\/b/gi);
L([new Date(0)]);
L(cyc);
L(Object.create(null));
L(Object.assign(Object.create(null), { a: 1 }));
L(Object.create(Foo.prototype));
L([1, , 3]);
L([, , ,]);
L(new Array(5));
L([1, 2, 3, , , , 7]);
L(new Uint8Array([1, 2, 3]));
L(new Float64Array(2));
L(new ArrayBuffer(4));
L(new BigInt64Array(1));
L(new DataView(new ArrayBuffer(2)));
L({
  get a() {
    return 1;
  },
  set a(v) {},
  get b() {
    return 1;
  },
  set c(v) {},
});
L(Object(1));
L(Object("str"));
L(Object(true));
L(Object(1n));
L(Object(sym));
L(Array.from({ length: 101 }, (_, i) => i));
L(Array.from({ length: 7 }, (_, i) => i));
L(Array.from({ length: 30 }, (_, i) => "item" + i));
L(Array.from({ length: 12 }, (_, i) => ({ i })));
L(
  "%s is %d years and %i, %f, %j %o %O %c%%",
  "Bob",
  42.5,
  42.9,
  "1.5",
  { a: 1 },
  [1],
  { b: { c: {} } },
  "css",
  "extra",
);
L("%s", { a: { b: 1 } }, "x");
L("%d", "0x10");
L("%s %s", "only");
L("100%", 5);
L("%x", 1);
L("%s", null, undefined);
L("%s", sym);
L("%s", 5n);
L("%d", 5n);
L("%s", -0);
L("%i", "abc");
L("%s", [1, [2, [3]]]);
L("%s", () => 5);
L("%s", new Foo());
L(["it's", 'say "hi"', `both ' and "`, "new\nline", "\x1b[0m", "tab\t", "\\", "ünï", "😀", "\ud800"]);
L({ s: "a\nb" });
L("a\nb");
L({ long: "x".repeat(100) });
L({ a: "x".repeat(30), b: "y".repeat(30), c: "z".repeat(30) });
L({
  id: 1,
  name: "a name",
  tags: ["one", "two"],
  nested: { deep: true, list: [1, 2, 3] },
  f() {},
  g: () => 1,
});
L({ a: 1n, b: undefined, c: null, d: NaN, e: Infinity, f: true });
L([undefined, null]);
L([[], [], {}]);
L({ a: [], b: {} });
L(new Map([[{ a: 1 }, new Map([[1, 2]])]]));
L([new Map([[1, { a: { b: {} } }]])]);
L(new Arr(3));
L(Arr.from([1, 2]));
L(
  (function () {
    return arguments;
  })(1, 2),
);
L({ [Symbol.toStringTag]: "Tag" });
L(
  new (class X {
    get [Symbol.toStringTag]() {
      return "T";
    }
  })(),
);
L(globalThis === undefined);
L(JSON);
L(Math);
L(Symbol.iterator);
L([Symbol("a")]);
L({ a: { b: { c: {} } } });
L({ a: { b: { c: [] } } });
L({ x: new Foo(), y: [new Foo()] });
L([[1, 2, [3, 4, [5, [6]]], { a: { b: { c: 1 } } }]]);
L({ k1: "vvvvvvvvvvvvvvvvvvv", k2: "vvvvvvvvvvvvvvvvvvv", k3: "vvvvvvvvvvvvvv" });
L({ k1: "vvvvvvvvvvvvvvvvvvv", k2: "vvvvvvvvvvvvvvvvvvv", k3: "vvvvvvvvvvvvvvvv" });
L({
  users: [
    { id: 1, name: "Alice", email: "alice@example.com" },
    { id: 2, name: "Bob", email: "bob@example.com" },
  ],
  total: 2,
});
L([1.5, 2.25, 1000, -3, 4, 5, 6, 7, 8, 9, 10]);
L(["a", "bb", "ccc", "dddd", "eeeee", "ffffff", "ggggggg", "h", "i", "j"]);
L(Object.assign([1, 2], { x: "y" }));
L(Object.assign(new Map([[1, 2]]), { x: 1 }));
L(Object.assign(new Date(0), { x: 1 }));
L(Object.assign(/r/, { x: 1 }));
L({
  fn: Foo,
  m: new Map([["k", { v: 1 }]]),
  s: new Set([[1, 2]]),
  u: new Uint8Array(2),
  d: new Date(0),
  e: [],
});
L("x".repeat(20000));
L(["y".repeat(10005)]);
L({ multi: "line one is rather long, really\nline two is also rather long, yes\nand three" });
L(new Set(Array.from({ length: 105 }, (_, i) => i)));
L(Object.fromEntries(Array.from({ length: 30 }, (_, i) => ["key" + i, i])));
L(
  [
    ["a", 1],
    ["b", 2],
  ],
  [
    { a: 1, b: 2 },
    { a: 3, b: 4 },
  ],
);
L(new String("abc"));
L([new Number(3)]);
L(Object.assign(Object(1), { x: 1 }));
L({ constructor: "x" });
L({ __proto__: { constructor: 5 } });
L([3, 2, 1], ["x"], "and text", { z: 1 });
