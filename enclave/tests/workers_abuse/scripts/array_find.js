// A search that is stopped between two elements: QuickJS-ng 0.14 frees one of them twice there.
// expect: worker_cpu_limit worker_memory_limit
export async function abuse(request, env, ctx) {
  const kept = [];
  for (;;) {
    const made = { at: kept.length };
    made.self = () => made;
    if (kept.find((other) => other === made) || kept.findIndex((other) => other === made) !== -1) return;
    if (kept.findLast((other) => other === made) || kept.findLastIndex((other) => other === made) !== -1) return;
    kept.push(made);
  }
}
