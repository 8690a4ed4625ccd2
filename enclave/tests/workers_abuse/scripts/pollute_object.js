// Members of every object.
// expect: 200 polluted worker_exception worker_bad_response
// breaks itself
export async function abuse(request, env, ctx) {
  for (const name of ["status", "headers", "body", "method", "url", "then", "get", "set", "value", "done", "code", "name"]) {
    Object.defineProperty(Object.prototype, name, { configurable: true, get: () => 418, set() {} });
  }
  return new Response("polluted");
}
