// A pattern for URLs that backtracks.
// expect: worker_cpu_limit worker_memory_limit worker_crashed worker_timeout worker_exception 200
export async function abuse(request, env, ctx) {
  const pattern = new URLPattern({ pathname: "/(a+)+b" });
  return new Response(String(pattern.test("https://a.example/" + "a".repeat(50))));
}
