// Microtasks that queue microtasks.
// expect: worker_cpu_limit
export async function abuse(request, env, ctx) {
  const again = () => queueMicrotask(again);
  again();
  await new Promise(() => {});
}
