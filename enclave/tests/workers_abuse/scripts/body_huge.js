// An answer of twenty megabytes.
// expect: worker_response_too_large worker_memory_limit
export async function abuse(request, env, ctx) {
  return new Response("x".repeat(20_000_000));
}
