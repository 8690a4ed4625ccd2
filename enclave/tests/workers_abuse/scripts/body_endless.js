// An answer without an end.
// expect: worker_response_too_large
export async function abuse(request, env, ctx) {
  const stream = new ReadableStream({
    pull(controller) {
      controller.enqueue(new Uint8Array(60_000));
    },
  });
  return new Response(stream);
}
