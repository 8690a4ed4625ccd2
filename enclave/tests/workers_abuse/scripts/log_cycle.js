// Log lines of what has no end.
// expect: 200 logged worker_memory_limit
export async function abuse(request, env, ctx) {
  const cycle = { list: [], map: new Map() };
  cycle.list.push(cycle, cycle.list);
  cycle.map.set(cycle, cycle.map);
  let deep = {};
  for (let at = 0; at < 10_000; at++) deep = { deep };
  console.log(cycle, deep, new Array(1_000_000), new Uint8Array(1_000_000));
  return new Response("logged");
}
