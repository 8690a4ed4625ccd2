// A text of 2^32 parts.
// expect: worker_cpu_limit worker_memory_limit worker_crashed worker_timeout worker_exception 200
export async function abuse(request, env, ctx) {
  return new Response(new Array(2 ** 32 - 1).join("x"));
}
