// A map of everything to everything.
// expect: worker_memory_limit worker_cpu_limit worker_exception
export async function abuse(request, env, ctx) {
  const map = new Map();
  for (let at = 0; ; at++) map.set(at, { at, key: Symbol(String(at)) });
}
