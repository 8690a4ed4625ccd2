// What a module knows of where it is.
// expect: 200 nothing
export async function abuse(request, env, ctx) {
  const url = String(import.meta.url ?? "");
  const found = Object.keys(import.meta).filter((name) => !["url", "main"].includes(name));
  if (!["", "abuse.js", "/abuse.js", "file:///abuse.js"].includes(url)) found.push(url);
  return new Response(found.length ? found.join(" ") : "nothing");
}
