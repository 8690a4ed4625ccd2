// A log line whose parts never come.
// expect: 200 logged worker_cpu_limit
export async function abuse(request, env, ctx) {
  console.log({
    get value() {
      for (;;) {}
    },
  });
  return new Response("logged");
}
