// Work behind the answer that never yields.
// expect: 200 answered worker_cpu_limit
export async function abuse(request, env, ctx) {
  ctx.waitUntil(
    (async () => {
      await null;
      for (;;) {}
    })(),
  );
  return new Response("answered");
}
