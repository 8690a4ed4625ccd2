// More log lines than there may be.
// expect: 200 logged
export async function abuse(request, env, ctx) {
  for (let at = 0; at < 20_000; at++) console.log("line", at);
  return new Response("logged");
}
