import { bytes, readAll, text, thrown } from "./tools.mjs";

export default {
  "parts of every kind": async () => new Blob(["a", bytes("b"), bytes("cd").buffer, new Blob(["e"]), 5]).text(),
  "size and type": () => { const blob = new Blob(["é"], { type: "Text/PLAIN" }); return [blob.size, blob.type, new Blob([], { type: "a\u0100" }).type]; },
  "slices": async () => { const blob = new Blob(["hello"]); return Promise.all([blob.slice(1, 3), blob.slice(-2), blob.slice(3, 1), blob.slice(0, 99, "x/y")].map(async (part) => [await part.text(), part.type])); },
  "a stream of it": async () => text(new Uint8Array((await readAll(new Blob(["ab", "cd"]).stream())).flatMap((part) => [...part]))),
  "bytes of it": async () => [await new Blob(["x"]).arrayBuffer(), await new Blob(["x"]).bytes()],
  "a file": () => { const file = new File(["x"], "a/b.txt", { type: "t/x", lastModified: 5 }); return [file.name, file.type, file.lastModified, file.size, file instanceof Blob]; },
  "what is no list of parts": () => Promise.all(["text", 1, null, {}].map((parts) => thrown(() => new Blob(parts)))),
  "lone surrogates": async () => new Blob(["\ud800"]).bytes(),
};
