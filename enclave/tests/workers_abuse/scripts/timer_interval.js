// A timer that fires for ever, and nothing else.
// expect: worker_cpu_limit worker_timeout
export async function abuse(request, env, ctx) {
  setInterval(() => {}, 1);
  await new Promise(() => {});
}
