// Digests of as much as fits, again and again.
// expect: worker_cpu_limit worker_memory_limit worker_crashed worker_timeout worker_exception 200
export async function abuse(request, env, ctx) {
  const data = new Uint8Array(8_000_000);
  for (;;) await crypto.subtle.digest("SHA-512", data);
}
