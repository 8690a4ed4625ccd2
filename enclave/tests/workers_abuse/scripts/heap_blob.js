// Blobs of blobs.
// expect: worker_memory_limit worker_cpu_limit worker_exception
export async function abuse(request, env, ctx) {
  let blob = new Blob(["x".repeat(1000)]);
  for (;;) blob = new Blob([blob, blob]);
}
