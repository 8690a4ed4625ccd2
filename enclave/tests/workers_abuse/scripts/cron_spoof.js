// An event that nobody sent.
// expect: 200 nothing
export async function abuse(request, env, ctx) {
  const found = [];
  for (const name of ["dispatchScheduled", "dispatchFetch", "deliver", "dispatch"]) {
    if (name in globalThis) found.push(name);
  }
  globalThis.dispatchEvent?.(new Event("scheduled"));
  globalThis.dispatchEvent?.(new Event("fetch"));
  return new Response(found.length ? found.join(" ") : "nothing");
}
