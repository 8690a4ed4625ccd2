// Ways out that other engines have.
// expect: 200 nothing
export async function abuse(request, env, ctx) {
  const names = [
    "process", "require", "module", "Deno", "Bun", "global", "window", "document", "host", "web", "std", "os", "print", "load",
    "WebAssembly", "SharedArrayBuffer", "Worker", "XMLHttpRequest", "importScripts", "quickjs", "__loadScript", "scriptArgs", "gc",
  ];
  const found = names.filter((name) => name in globalThis);
  for (const name of ["fs", "node:fs", "std", "os", "qjs:std", "qjs:os", "file:///etc/passwd", "/etc/passwd", "../../../etc/passwd"]) {
    await import(name).then(
      () => found.push(name),
      () => {},
    );
  }
  for (const make of [
    () => eval("1"),
    () => new Function("return 1")(),
    () => (async () => {}).constructor("return 1")(),
    () => function* () {}.constructor("yield 1"),
    () => setTimeout("1", 0),
  ]) {
    try {
      const made = make();
      if (typeof made !== "number" || made === 1) found.push(String(make));
    } catch {
      continue;
    }
  }
  return new Response(found.length ? found.join(" ") : "nothing");
}
