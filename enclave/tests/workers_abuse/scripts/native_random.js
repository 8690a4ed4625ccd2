// More randomness than may be asked for at once.
// expect: worker_cpu_limit worker_memory_limit worker_crashed worker_timeout worker_exception 200
export async function abuse(request, env, ctx) {
  crypto.getRandomValues(new Uint8Array(10_000_000));
}
