// A replacement that never returns.
// expect: worker_cpu_limit
export async function abuse(request, env, ctx) {
  return new Response("a".replace(/a/, () => { for (;;) {} }));
}
