// Sorting as much as fits, again and again.
// expect: worker_cpu_limit worker_memory_limit worker_crashed worker_timeout worker_exception 200
export async function abuse(request, env, ctx) {
  const list = new Float64Array(1_000_000).map((_, at) => (at * 7919) % 1_000_003);
  for (;;) list.slice().sort();
}
