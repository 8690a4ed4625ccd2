// A generator without an end, taken whole.
// expect: worker_cpu_limit worker_memory_limit
export async function abuse(request, env, ctx) {
  const endless = function* () {
    for (;;) yield 1;
  };
  return new Response(String([...endless()].length));
}
