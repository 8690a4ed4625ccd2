// Whether anything of another worker is here.
// expect: 200 nothing
export async function abuse(request, env, ctx) {
  const found = [globalThis.leaked, globalThis[Symbol.for("leaked")], {}.leaked, Math.leaked, env.LEAKED, env.OTHER];
  return new Response(found.some((value) => value !== undefined) ? "found" : "nothing");
}
