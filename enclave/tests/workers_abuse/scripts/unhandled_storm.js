// Rejections that nobody handles.
// expect: 200 done worker_memory_limit worker_cpu_limit worker_exception
export async function abuse(request, env, ctx) {
  for (let at = 0; at < 50_000; at++) Promise.reject(new Error("x".repeat(100)));
  await null;
  return new Response("done");
}
