// Finalizers that make more of what they are for.
// expect: worker_cpu_limit worker_memory_limit 200
export async function abuse(request, env, ctx) {
  const registry = new FinalizationRegistry(() => make());
  const make = () => registry.register({}, 0);
  for (;;) make();
}
