// A function that calls itself, and goes on when it can't.
// expect: worker_exception worker_memory_limit worker_cpu_limit
export async function abuse(request, env, ctx) {
  const deep = () => {
    try {
      deep();
    } catch {
      deep();
    }
  };
  deep();
}
