// Work behind the answer that never ends.
// expect: 200 answered worker_never_answers
export async function abuse(request, env, ctx) {
  ctx.waitUntil(new Promise(() => {}));
  return new Response("answered");
}
