// A getter that never returns, called by native code.
// expect: worker_cpu_limit
export async function abuse(request, env, ctx) {
  return Response.json({
    get value() {
      for (;;) {}
    },
  });
}
