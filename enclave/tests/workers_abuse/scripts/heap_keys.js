// Keys, which live outside the heap.
// expect: worker_memory_limit worker_cpu_limit worker_exception
export async function abuse(request, env, ctx) {
  const all = [];
  for (;;) all.push(await crypto.subtle.generateKey({ name: "AES-GCM", length: 256 }, false, ["encrypt"]));
}
