// Promises that never tell.
// expect: 200 polluted worker_exception worker_bad_response worker_never_answers
// breaks itself
export async function abuse(request, env, ctx) {
  Promise.prototype.then = () => {};
  Promise.resolve = () => new Promise(() => {});
  Promise.prototype.finally = Promise.prototype.catch = () => {};
  return new Response("polluted");
}
