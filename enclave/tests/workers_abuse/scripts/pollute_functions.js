// Functions that call something else.
// expect: 200 polluted worker_exception worker_bad_response worker_never_answers
// breaks itself
export async function abuse(request, env, ctx) {
  Function.prototype.call = Function.prototype.apply = Function.prototype.bind = () => () => "mine";
  Reflect.apply = Reflect.construct = Reflect.get = () => "mine";
  Object.defineProperty = Object.freeze = Object.create = () => ({});
  return new Response("polluted");
}
