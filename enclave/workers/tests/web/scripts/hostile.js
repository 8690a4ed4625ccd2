// Inputs that would be slow, deep or long anywhere: they end, with an error or without.

test("patterns of many groups, and patterns that are too long", () => {
  let names = "";
  for (let i = 0; names.length < 15_000; i++) names += `/:n${i}`;
  throws(TypeError, () => new URLPattern({ pathname: "x".repeat(17_000) }));
  throws(TypeError, () => new URLPattern({ pathname: "/:a/:a" }));
  throws(TypeError, () => new URLPattern("https://a]:8/"));
  for (const pathname of [names, "*".repeat(2000), "(".repeat(2000), "{".repeat(2000), "\\".repeat(2001)]) {
    try {
      new URLPattern({ pathname }).test("https://a.b/c");
    } catch (error) {
      ok(error instanceof TypeError, `${error}`);
    }
  }
});

test("URLs of one character again and again", () => {
  for (const unit of ["@", "/", "../", ":", "a.", "é", "%", "xn--a.", "[", "\\"]) {
    const long = unit.repeat(100_000);
    for (const start of ["https://", "https://a/", "file:", "foo:", "foo:/"]) {
      if (URL.canParse(start + long)) ok(new URL(start + long).href.length > 0);
    }
  }
});

test("values that are nested too deeply to be cloned", () => {
  let deep = {};
  for (let i = 0; i < 100_000; i++) deep = { deep };
  throws(RangeError, () => structuredClone(deep));
  equal(structuredClone({ a: 1 }), { a: 1 });
});

test("forms of many parts", async () => {
  const form = new FormData();
  for (let i = 0; i < 10_001; i++) form.append("a", "");
  await rejects(TypeError, new Response(form).formData());
  const text = "a&".repeat(200_000);
  const params = new URLSearchParams(text);
  equal(params.size, 200_000);
  equal(params.toString().length, 600_000 - 1);
  equal(new URLSearchParams(params.toString()).size, 200_000);
});

test("long texts that are read in pieces stay whole", () => {
  const value = "€&=".repeat(200_000);
  const params = new URLSearchParams([
    ["k", value],
    ["l", "1"],
  ]);
  const back = new URLSearchParams(params.toString());
  ok(back.get("k") === value && back.get("l") === "1" && back.size === 2);
});

test("objects whose conversion throws or lies", () => {
  const angry = {
    toString() {
      throw new RangeError("no");
    },
  };
  for (const run of [
    () => new URL(angry),
    () => new Headers([["a", angry]]),
    () => new Response(angry),
    () => new URLSearchParams([["a", angry]]),
    () => new Event(angry),
    () => new TextEncoder().encode(angry),
    () => new Blob([angry]),
    () => new URLPattern({ pathname: angry }),
    () => setTimeout(() => {}, angry),
  ]) {
    throws(RangeError, run);
  }
  throws(TypeError, () => new URL(Symbol("s")));
  throws(TypeError, () => new Headers([["a", Symbol("s")]]));
});

test("detached and shrinking buffers", () => {
  const buffer = new ArrayBuffer(8);
  const view = new Uint8Array(buffer);
  buffer.transfer();
  equal(new TextDecoder().decode(view), "");
  equal(new Blob([view]).size, 0);
  const growing = new ArrayBuffer(8, { maxByteLength: 16 });
  const tail = new Uint8Array(growing, 4);
  growing.resize(2);
  equal(new TextDecoder().decode(tail), "");
});
