// A list of lists without an end.
// expect: worker_memory_limit
export async function abuse(request, env, ctx) {
  const all = [];
  for (;;) all.push(new Array(1000).fill(all.length));
}
