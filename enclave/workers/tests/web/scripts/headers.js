test("names are case-insensitive, values are joined", () => {
  const headers = new Headers({ "Content-Type": "text/plain" });
  headers.append("Accept", "a");
  headers.append("ACCEPT", "b");
  equal(headers.get("accept"), "a, b");
  equal(headers.get("CONTENT-type"), "text/plain");
  equal(headers.get("none"), null);
  ok(headers.has("aCCept"));
  headers.delete("accept");
  ok(!headers.has("accept"));
});

test("iteration is sorted and combined", () => {
  const headers = new Headers([
    ["b", "2"],
    ["a", "1"],
    ["B", "3"],
  ]);
  equal(
    [...headers],
    [
      ["a", "1"],
      ["b", "2, 3"],
    ],
  );
  equal([...headers.keys()], ["a", "b"]);
  equal([...headers.values()], ["1", "2, 3"]);
  equal(headers[Symbol.iterator] === headers.entries, true);
  const seen = [];
  headers.forEach((value, name, all) => seen.push([name, value, all === headers]));
  equal(seen, [
    ["a", "1", true],
    ["b", "2, 3", true],
  ]);
});

test("iteration shows what changes meanwhile", () => {
  const headers = new Headers({ a: "1", c: "3" });
  const seen = [];
  for (const [name] of headers) {
    seen.push(name);
    if (name === "a") headers.append("d", "4");
  }
  equal(seen, ["a", "c", "d"]);
});

test("cookies stay apart", () => {
  const headers = new Headers();
  headers.append("Set-Cookie", "a=1");
  headers.append("set-cookie", "b=2");
  equal(headers.getSetCookie(), ["a=1", "b=2"]);
  equal(
    [...headers],
    [
      ["set-cookie", "a=1"],
      ["set-cookie", "b=2"],
    ],
  );
  equal(headers.get("set-cookie"), "a=1, b=2");
});

test("set replaces all, where the first one was", () => {
  const headers = new Headers([
    ["x", "1"],
    ["y", "2"],
    ["x", "3"],
  ]);
  headers.set("X", "4");
  equal(
    [...headers],
    [
      ["x", "4"],
      ["y", "2"],
    ],
  );
});

test("names and values are checked", () => {
  const headers = new Headers();
  for (const name of ["", "a b", "a:", "é", "a\n"]) throws(TypeError, () => headers.append(name, "v"));
  for (const value of ["a\nb", "a\0", "€", "a\rb"]) throws(TypeError, () => headers.append("n", value));
  headers.set("n", " \t\r\n v é \n");
  equal(headers.get("n"), "v é");
  throws(TypeError, () => headers.get("a b"));
});

test("headers are made of pairs, records and headers alone", () => {
  equal([...new Headers(new Headers({ a: "1" }))], [["a", "1"]]);
  equal([...new Headers(new Map([["k", "v"]]))], [["k", "v"]]);
  equal([...new Headers(undefined)], []);
  for (const init of [null, 1, "a", [["a"]], [["a", "b", "c"]], ["ab"], { "a b": "c" }, { a: Symbol() }]) {
    throws(TypeError, () => new Headers(init));
  }
});
