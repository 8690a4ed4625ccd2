// A pattern that is nothing but groups.
// expect: worker_exception worker_cpu_limit worker_memory_limit
export async function abuse(request, env, ctx) {
  return new Response(String(new RegExp("(".repeat(1_000_000) + ")".repeat(1_000_000))));
}
