// What other workers must not see: a global, a symbol, a member of a built-in.
// expect: 200 written
export async function abuse(request, env, ctx) {
  globalThis.leaked = "secret";
  globalThis[Symbol.for("leaked")] = "secret";
  Object.prototype.leaked = "secret";
  Math.leaked = "secret";
  return new Response("written");
}
