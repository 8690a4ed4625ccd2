// Buffers outside the heap.
// expect: worker_memory_limit worker_cpu_limit worker_exception
export async function abuse(request, env, ctx) {
  const all = [];
  for (;;) all.push(new Uint8Array(1 << 20).fill(1));
}
