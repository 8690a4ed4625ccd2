// A stream that takes more than anybody reads.
// expect: worker_memory_limit worker_cpu_limit worker_exception
export async function abuse(request, env, ctx) {
  const stream = new ReadableStream({
    start(controller) {
      for (;;) controller.enqueue(new Uint8Array(100_000));
    },
  });
  return new Response(stream);
}
