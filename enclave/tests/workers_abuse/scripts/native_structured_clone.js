// A copy of a chain of a million objects.
// expect: worker_cpu_limit worker_memory_limit worker_crashed worker_timeout worker_exception 200
export async function abuse(request, env, ctx) {
  let chain = null;
  for (let at = 0; at < 300_000; at++) chain = { chain };
  return new Response(String(structuredClone(chain)));
}
