// A chain of prototypes, searched to its end.
// expect: 200 worker_exception worker_memory_limit worker_cpu_limit
export async function abuse(request, env, ctx) {
  let object = null;
  for (let at = 0; at < 200_000; at++) object = Object.create(object);
  for (let at = 0; at < 1_000_000; at++) void object.missing;
}
