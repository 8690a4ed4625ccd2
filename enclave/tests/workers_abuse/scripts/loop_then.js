// Promises that make promises.
// expect: worker_cpu_limit worker_memory_limit
export async function abuse(request, env, ctx) {
  const again = () => Promise.resolve().then(again);
  await again();
}
