// A promise that nothing can settle.
// expect: worker_never_answers
export async function abuse(request, env, ctx) {
  await new Promise(() => {});
}
