// A function that calls itself.
// expect: worker_exception worker_memory_limit worker_cpu_limit
export async function abuse(request, env, ctx) {
  const deep = () => deep() + 1;
  return new Response(String(deep()));
}
