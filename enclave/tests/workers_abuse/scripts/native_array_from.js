// A list as long as its length says.
// expect: worker_cpu_limit worker_memory_limit worker_crashed worker_timeout worker_exception 200
export async function abuse(request, env, ctx) {
  return new Response(String(Array.from({ length: 2 ** 32 - 1 }).length));
}
