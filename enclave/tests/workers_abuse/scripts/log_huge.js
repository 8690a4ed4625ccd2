// Log lines of megabytes.
// expect: 200 logged
export async function abuse(request, env, ctx) {
  for (let at = 0; at < 20; at++) console.error("x".repeat(1_000_000));
  return new Response("logged");
}
