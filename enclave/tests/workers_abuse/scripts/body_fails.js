// An answer that breaks off.
// expect: worker_exception
export async function abuse(request, env, ctx) {
  const stream = new ReadableStream({
    pull(controller) {
      controller.error(new Error("broken"));
    },
  });
  return new Response(stream);
}
