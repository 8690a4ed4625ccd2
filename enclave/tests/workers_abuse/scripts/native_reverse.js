// Native code over an object that says it has 2^53 elements.
// expect: worker_cpu_limit worker_memory_limit worker_crashed worker_timeout worker_exception 200
export async function abuse(request, env, ctx) {
  Array.prototype.reverse.call({ length: 2 ** 53 - 1 });
}
