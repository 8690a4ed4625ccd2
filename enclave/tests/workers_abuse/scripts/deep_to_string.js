// Conversions that convert themselves.
// expect: worker_exception worker_memory_limit worker_cpu_limit
export async function abuse(request, env, ctx) {
  const deep = { toString: () => `${deep}` };
  return new Response(`${deep}`);
}
