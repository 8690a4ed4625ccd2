// The longest texts that there are.
// expect: worker_memory_limit worker_cpu_limit worker_exception
export async function abuse(request, env, ctx) {
  const all = [];
  for (;;) all.push("x".repeat(2 ** 28) + all.length);
}
