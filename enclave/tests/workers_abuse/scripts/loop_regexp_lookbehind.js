// Nested quantifiers in a lookbehind.
// expect: worker_cpu_limit 200 false
export async function abuse(request, env, ctx) {
  return new Response(String(/(?<=(.*.*.*.*.*.*)*x)y/.test("a".repeat(60) + "y")));
}
