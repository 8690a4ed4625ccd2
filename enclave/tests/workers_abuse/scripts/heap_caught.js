// Memory until there is none, and again after each refusal.
// expect: worker_memory_limit worker_cpu_limit worker_exception
export async function abuse(request, env, ctx) {
  const all = [];
  for (;;) {
    try {
      for (;;) all.push(new Array(1000).fill(0));
    } catch {
      all.length = all.length >> 1;
    }
  }
}
