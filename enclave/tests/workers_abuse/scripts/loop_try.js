// A loop that catches whatever would end it.
// expect: worker_cpu_limit
export async function abuse(request, env, ctx) {
  for (;;) {
    try {
      for (;;) {}
    } catch {
      continue;
    } finally {
      continue;
    }
  }
}
