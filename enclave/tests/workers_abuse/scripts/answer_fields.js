// More header fields than an answer has room for.
// expect: worker_bad_response worker_exception 200
export async function abuse(request, env, ctx) {
  const headers = new Headers();
  for (let at = 0; at < 2000; at++) headers.append("x-" + at, "y".repeat(100));
  return new Response("many", { headers });
}
