// A loop of microtasks: no turn of the event loop ever ends.
// expect: worker_cpu_limit
export async function abuse(request, env, ctx) {
  for (;;) await null;
}
