// An exception whose stack never comes.
// expect: worker_cpu_limit worker_exception
export async function abuse(request, env, ctx) {
  throw Object.defineProperties(new Error("a"), {
    message: { get: () => { for (;;) {} } },
    stack: { get: () => { for (;;) {} } },
  });
}
