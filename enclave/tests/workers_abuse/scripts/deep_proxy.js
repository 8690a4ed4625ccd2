// A chain of proxies.
// expect: worker_exception worker_memory_limit worker_cpu_limit
export async function abuse(request, env, ctx) {
  let proxy = {};
  for (let at = 0; at < 200_000; at++) proxy = new Proxy(proxy, {});
  return new Response(String(proxy.value));
}
