// A trap that never returns, called by native code.
// expect: worker_cpu_limit
export async function abuse(request, env, ctx) {
  const trap = new Proxy({}, { ownKeys: () => { for (;;) {} } });
  return new Response(String(Object.keys(trap)));
}
