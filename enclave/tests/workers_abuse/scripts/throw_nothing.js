// An exception that is none.
// expect: worker_exception
export async function abuse(request, env, ctx) {
  throw undefined;
}
