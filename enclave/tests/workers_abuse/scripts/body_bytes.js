// An answer without an end, a byte at a time.
// expect: worker_response_too_large worker_cpu_limit worker_timeout
export async function abuse(request, env, ctx) {
  const stream = new ReadableStream({
    pull(controller) {
      controller.enqueue(new Uint8Array(1));
    },
  });
  return new Response(stream);
}
