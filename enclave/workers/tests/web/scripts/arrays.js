test("elements are found as the standard says", () => {
  const list = [5, 12, 8, 130, 44];
  const large = (value) => value > 10;
  equal(
    [list.find(large), list.findIndex(large), list.findLast(large), list.findLastIndex(large)],
    [12, 1, 44, 4],
  );
  const none = () => false;
  equal([list.find(none), list.findIndex(none), list.findLast(none), list.findLastIndex(none)], [undefined, -1, undefined, -1]);
  // Holes are seen, and changes on the way; the length isn't looked at again.
  const seen = [];
  const holes = [1, , 3];
  holes.find((value, at, array) => {
    seen.push([value, at, array === holes]);
    holes.push(9);
  });
  equal(seen, [[1, 0, true], [undefined, 1, true], [3, 2, true]]);
  equal(Array.prototype.findLast.call({ length: 2, 0: "a", 1: "b" }, () => true), "b");
  equal(Array.prototype.find.call("xyz", function () { return this.wanted; }, { wanted: 1 }), "x");
});

test("what can't be searched is refused", () => {
  for (const name of ["find", "findIndex", "findLast", "findLastIndex"]) {
    throws(TypeError, () => [][name]());
    throws(TypeError, () => Array.prototype[name].call(null, () => true));
    const { writable, enumerable, configurable } = Object.getOwnPropertyDescriptor(Array.prototype, name);
    equal([[][name].length, [][name].name, writable, enumerable, configurable], [1, name, true, false, true]);
    throws(TypeError, () => new Array.prototype[name](() => true));
  }
});
