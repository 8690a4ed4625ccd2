// Calls that all wait.
// expect: worker_memory_limit worker_cpu_limit worker_exception
export async function abuse(request, env, ctx) {
  const wait = async () => {
    await new Promise(() => {});
  };
  const all = [];
  for (;;) all.push(wait());
}
