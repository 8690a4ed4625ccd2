// A buffer that grows.
// expect: worker_memory_limit worker_cpu_limit worker_exception
export async function abuse(request, env, ctx) {
  const buffer = new ArrayBuffer(1, { maxByteLength: 2 ** 31 });
  for (;;) buffer.resize(buffer.byteLength * 2);
}
