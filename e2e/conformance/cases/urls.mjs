import { thrown } from "./tools.mjs";

const parts = (text, base) => { const url = new URL(text, base); return [url.href, url.origin, url.protocol, url.username, url.password, url.host, url.pathname, url.search, url.hash]; };

export default {
  "all parts": () => parts("https://u:p@example.com:8080/a/b;c?d=e&f#g"),
  "relative to a base": () => ["../x", "?q", "#h", "//other/y", "/z", ""].map((text) => new URL(text, "http://a.example/b/c/d?e").href),
  "hosts are normal": () => ["http://EXAMPLE.com:80", "http://faß.example", "http://0x7f.1", "http://[::1:0]/", "http://a.example./"].map((text) => new URL(text).href),
  "what is encoded": () => new URL("http://a.example/ü b/%zz?ü b'#ü b").href,
  "what is no URL": () => Promise.all(["", "a", "http://", "http://a b/", "http://a:99999", "http://[::g]", "http://1.2.3.4.5"].map((text) => thrown(() => new URL(text)))),
  "canParse and parse": () => [URL.canParse("a", "http://b"), URL.canParse("a"), URL.parse("http://a/")?.href, URL.parse("x")],
  "setters": () => { const url = new URL("http://a.example/"); url.protocol = "https"; url.host = "b.example:81"; url.pathname = "x y"; url.search = "q=1"; url.hash = "h"; url.username = "u@"; url.port = "abc"; return url.href; },
  "setters that do nothing": () => { const url = new URL("http://a.example/"); url.protocol = "data"; url.host = ""; url.port = "99999"; return url.href; },
  "schemes without hosts": () => [parts("data:text/plain,x y"), parts("blob:https://a.example/id"), parts("mailto:x@y")],
  "search parameters of every kind": () => [new URLSearchParams("?a=1&a=2&b"), new URLSearchParams({ c: 3 }), new URLSearchParams([["d", "e f"]]), new URLSearchParams(new URLSearchParams("g=h"))].map(String),
  "search parameters as a list": () => { const list = new URLSearchParams("a=1&b=2&a=3"); list.append("c", "ü &="); list.delete("b"); list.set("a", "4"); return [String(list), list.get("a"), list.getAll("a"), list.has("b"), list.size]; },
  "with values": () => { const list = new URLSearchParams("a=1&a=2"); list.delete("a", "1"); return [list.has("a", "1"), list.has("a", "2"), String(list)]; },
  "sorted by units of UTF-16": () => { const list = new URLSearchParams("z=1&ﬃ&🌈&a=2&a=1"); list.sort(); return [...list.keys()]; },
  "they follow their URL": () => { const url = new URL("http://a.example/?a=1"); url.searchParams.append("b", "2 3"); const first = url.href; url.search = "?c"; return [first, [...url.searchParams]]; },
  "plus and percent": () => [new URLSearchParams("a=b+c%20d%zz%ff").get("a"), String(new URLSearchParams({ "*-._~ ": "é" }))],
  "URLPattern": () => { const pattern = new URLPattern({ pathname: "/users/:id/*" }); const found = pattern.exec("https://a.example/users/7/x/y"); return [found.pathname.groups, pattern.test("https://a.example/users/7"), pattern.pathname]; },
  "URLPattern of text": () => { const pattern = new URLPattern("https://*.example.com/:file.(jpe?g|png)"); return [pattern.test("https://a.example.com/b.jpg"), pattern.test("https://a.example.com/b.gif"), pattern.exec("https://a.example.com/b.png").pathname.groups]; },
  "URLPattern with optional parts": () => ["/a", "/a/", "/a/b", "/a/b/c"].map((path) => new URLPattern({ pathname: "/a/:b?" }).test({ pathname: path })),
  "URLPattern that is none": () => thrown(() => new URLPattern({ pathname: "/(" })),
};
