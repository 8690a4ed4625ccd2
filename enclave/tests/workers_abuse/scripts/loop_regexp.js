// A pattern that backtracks without an end.
// expect: worker_cpu_limit
export async function abuse(request, env, ctx) {
  return new Response(String(/^(a+)+$/.test("a".repeat(40) + "b")));
}
