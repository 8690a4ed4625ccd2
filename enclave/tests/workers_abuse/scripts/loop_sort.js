// A comparison that never returns.
// expect: worker_cpu_limit
export async function abuse(request, env, ctx) {
  return new Response(String([3, 2, 1].sort(() => { for (;;) {} })));
}
