// Bytes that are taken away while they are read.
// expect: 200 polluted worker_exception worker_bad_response worker_memory_limit
export async function abuse(request, env, ctx) {
  const bytes = new Uint8Array(1000);
  const stream = new ReadableStream({
    pull(controller) {
      controller.enqueue(bytes);
      structuredClone(bytes.buffer, { transfer: [bytes.buffer] });
      controller.close();
    },
  });
  await new Response(stream).arrayBuffer().catch(() => {});
  return new Response("polluted");
}
