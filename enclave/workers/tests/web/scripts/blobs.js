test("a blob joins its parts", async () => {
  const blob = new Blob(
    ["a", bytesOf("b"), bytesOf("c").buffer, new Blob(["d"]), 1, new DataView(bytesOf("e").buffer)],
    { type: "Text/Plain" },
  );
  equal([blob.size, blob.type, await blob.text()], [6, "text/plain", "abcd1e"]);
  equal(new Blob([], { type: "é" }).type, "");
  equal(new Blob().size, 0);
  for (const parts of ["text", 1, null, {}]) throws(TypeError, () => new Blob(parts));
  throws(TypeError, () => new Blob([], { endings: "mixed" }));
});

test("line endings become the platform's where that is wanted", async () => {
  equal(await new Blob(["a\r\nb\rc\n"], { endings: "native" }).text(), "a\nb\nc\n");
  equal(await new Blob(["a\r\nb"]).text(), "a\r\nb");
});

test("a slice is a part of a blob", async () => {
  const blob = new Blob(["abcdef"], { type: "a/b" });
  const slice = async (...rest) => blob.slice(...rest).text();
  equal(
    [
      await slice(1, 3),
      await slice(-2),
      await slice(4, 2),
      await slice(),
      await slice(0, -1),
      await slice(NaN, 1.9),
      await slice(0.5, 2.5),
    ],
    ["bc", "ef", "", "abcdef", "abcde", "ab", "ab"],
  );
  equal([blob.slice(1).type, blob.slice(1, 2, "C/D").type], ["", "c/d"]);
  equal(await blob.slice(2).slice(1, 2).text(), "d");
});

test("a blob is read in each way", async () => {
  const blob = new Blob(["hé"]);
  equal(new Uint8Array(await blob.arrayBuffer()), bytesOf("hé"));
  let bytes = [];
  for await (const piece of blob.stream()) bytes = [...bytes, ...piece];
  equal(bytes, [...bytesOf("hé")]);
});

test("a file has a name and a time", async () => {
  const file = new File(["x"], "na/me", { type: "a/b", lastModified: 7 });
  equal(
    [file.name, file.lastModified, file.type, file instanceof Blob, await file.text()],
    ["na/me", 7, "a/b", true, "x"],
  );
  ok(Math.abs(new File([], "n").lastModified - Date.now()) < 10_000);
  throws(TypeError, () => new File([]));
});

test("a form keeps its entries in order", () => {
  const form = new FormData();
  form.append("a", 1);
  form.append("b", "2");
  form.append("a", "3");
  equal(
    [form.get("a"), form.getAll("a"), form.has("b"), form.get("c"), form.getAll("c")],
    ["1", ["1", "3"], true, null, []],
  );
  form.set("a", "4");
  equal(
    [...form],
    [
      ["a", "4"],
      ["b", "2"],
    ],
  );
  form.set("c", "5");
  form.delete("a");
  equal(
    [[...form.keys()], [...form.values()]],
    [
      ["b", "c"],
      ["2", "5"],
    ],
  );
  const seen = [];
  form.forEach((value, name, all) => seen.push([name, value, all === form]));
  equal(seen, [
    ["b", "2", true],
    ["c", "5", true],
  ]);
  ok(FormData.prototype[Symbol.iterator] === FormData.prototype.entries);
});

test("blobs become files in a form", async () => {
  const form = new FormData();
  form.append("blob", new Blob(["x"], { type: "a/b" }));
  form.append("named", new Blob(["y"]), "name.txt");
  const file = new File(["z"], "own.txt");
  form.append("file", file);
  form.append("renamed", file, "new.txt");
  equal(
    ["blob", "named", "file", "renamed"].map((name) => form.get(name).name),
    ["blob", "name.txt", "own.txt", "new.txt"],
  );
  equal(
    [form.get("blob").type, await form.get("named").text(), form.get("file") === file],
    ["a/b", "y", true],
  );
  throws(TypeError, () => form.append("a", "text", "name"));
});

test("a form that others write is read", async () => {
  const body = [
    "--b\r\n",
    'content-disposition: form-data; name="a"\r\n\r\n',
    "1\r\n",
    "--b\r\n",
    'Content-Disposition: form-data; name="f"; filename=""\r\nContent-Type: application/octet-stream\r\n\r\n',
    "\0\x01\r\n",
    "--b--\r\n",
  ].join("");
  const form = await new Response(body, {
    headers: { "content-type": 'multipart/form-data; boundary="b"' },
  }).formData();
  equal(
    [form.get("a"), form.get("f").name, form.get("f").type, form.get("f").size],
    ["1", "", "application/octet-stream", 2],
  );
});
