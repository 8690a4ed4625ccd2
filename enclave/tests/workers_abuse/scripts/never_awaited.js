// No answer at all.
// expect: worker_bad_response
export async function abuse(request, env, ctx) {
  return undefined;
}
