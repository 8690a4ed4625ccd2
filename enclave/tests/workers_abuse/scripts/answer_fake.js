// Something that only looks like an answer.
// expect: worker_bad_response 200
export async function abuse(request, env, ctx) {
  return new Proxy(new Response("fake"), { get: (target, name) => (name === "status" ? 7 : Reflect.get(target, name)) });
}
