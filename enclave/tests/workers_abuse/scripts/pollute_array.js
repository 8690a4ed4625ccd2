// Lists that never end.
// expect: 200 polluted worker_exception worker_bad_response worker_cpu_limit worker_never_answers worker_memory_limit
// breaks itself
export async function abuse(request, env, ctx) {
  Array.prototype[Symbol.iterator] = function* () {
    for (;;) yield ["x-a", "b"];
  };
  Array.prototype.push = Array.prototype.map = Array.prototype.forEach = () => 7;
  return new Response("polluted");
}
