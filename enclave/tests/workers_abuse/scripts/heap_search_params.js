// Parameters without an end.
// expect: worker_memory_limit worker_cpu_limit worker_exception
export async function abuse(request, env, ctx) {
  const params = new URLSearchParams();
  for (;;) params.append("a".repeat(1000), "b".repeat(1000));
}
