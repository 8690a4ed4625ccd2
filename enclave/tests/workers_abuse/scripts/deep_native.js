// Native code that calls itself through a getter.
// expect: worker_exception worker_memory_limit worker_cpu_limit
export async function abuse(request, env, ctx) {
  const deep = { toJSON: () => JSON.stringify(deep) };
  return new Response(JSON.stringify(deep));
}
