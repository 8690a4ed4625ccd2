// JSON as deep as it is long.
// expect: worker_cpu_limit worker_memory_limit worker_crashed worker_timeout worker_exception 200
export async function abuse(request, env, ctx) {
  return Response.json(JSON.parse("[".repeat(5_000_000) + "]".repeat(5_000_000)));
}
