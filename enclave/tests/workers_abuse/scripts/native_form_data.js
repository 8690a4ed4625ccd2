// A form of nothing but boundaries.
// expect: worker_cpu_limit worker_memory_limit worker_crashed worker_timeout worker_exception 200
export async function abuse(request, env, ctx) {
  const body = "--x\r\n".repeat(1_000_000);
  for (;;) {
    try {
      await new Response(body, { headers: { "content-type": "multipart/form-data; boundary=x" } }).formData();
    } catch {
      continue;
    }
  }
}
