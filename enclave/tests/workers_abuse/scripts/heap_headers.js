// Header fields without an end.
// expect: worker_memory_limit worker_cpu_limit worker_exception
export async function abuse(request, env, ctx) {
  const headers = new Headers();
  for (let at = 0; ; at++) headers.append("x-" + at, "y".repeat(1000));
}
