import { thrown } from "./tools.mjs";

export default {
  "names are lower case and in order": () => [...new Headers([["B", "1"], ["a", "2"], ["C", "3"]])],
  "values of a name are joined": () => { const headers = new Headers({ a: "1" }); headers.append("A", "2"); return [headers.get("a"), [...headers]]; },
  "set-cookie stays apart": () => { const headers = new Headers(); headers.append("set-cookie", "a=1"); headers.append("Set-Cookie", "b=2"); return [[...headers], headers.getSetCookie(), headers.get("set-cookie")]; },
  "values are trimmed": () => new Headers({ a: " \t b c \n" }).get("a"),
  "an empty value": () => [new Headers({ a: "" }).get("a"), new Headers().get("a")],
  "bytes above 127": () => new Headers({ a: "\xe9" }).get("a"),
  "what is no name": () => Promise.all(["", "a b", "é", "a:", "(x)"].map((name) => thrown(() => new Headers({ [name]: "x" })))),
  "what is no value": () => Promise.all(["a\nb", "a\0b", "\u0100"].map((value) => thrown(() => new Headers({ a: value })))),
  "pairs must be pairs": () => Promise.all([[["a"]], [["a", "b", "c"]], 1].map((init) => thrown(() => new Headers(init)))),
  "set, has, delete": () => { const headers = new Headers({ a: "1", b: "2" }); headers.set("A", "3"); headers.delete("B"); return [headers.has("a"), headers.has("b"), headers.get("a")]; },
  "iterators": () => { const headers = new Headers({ b: "1", a: "2" }); const seen = []; headers.forEach((value, name) => seen.push(name + value)); return [[...headers.keys()], [...headers.values()], [...headers.entries()], seen]; },
  "a copy is its own": () => { const first = new Headers({ a: "1" }); const second = new Headers(first); second.set("a", "2"); return [first.get("a"), second.get("a")]; },
  "of a map": () => [...new Headers(new Map([["x", "1"]]))],
};
