// Numbers that grow until nothing holds them.
// expect: worker_cpu_limit worker_memory_limit worker_crashed worker_timeout worker_exception 200
export async function abuse(request, env, ctx) {
  let number = 3n;
  for (;;) number *= number;
}
