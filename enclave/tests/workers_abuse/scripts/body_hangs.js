// An answer that begins and never goes on.
// expect: worker_never_answers worker_timeout
export async function abuse(request, env, ctx) {
  const stream = new ReadableStream({
    start(controller) {
      controller.enqueue(new Uint8Array(1));
    },
  });
  return new Response(stream);
}
