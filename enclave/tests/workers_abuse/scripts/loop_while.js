// The plain loop.
// expect: worker_cpu_limit
export async function abuse(request, env, ctx) {
  while (true) {}
}
