// Functions that hold functions.
// expect: worker_memory_limit worker_cpu_limit worker_exception
export async function abuse(request, env, ctx) {
  let last = () => 0;
  for (;;) {
    const before = last;
    last = () => before;
  }
}
