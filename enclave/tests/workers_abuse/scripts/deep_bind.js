// A function bound to itself, over and over.
// expect: worker_exception worker_memory_limit worker_cpu_limit
export async function abuse(request, env, ctx) {
  let bound = () => 1;
  for (let at = 0; at < 300_000; at++) bound = bound.bind(null);
  return new Response(String(bound()));
}
