// Answers that would write heads of their own.
// expect: 200 refused
export async function abuse(request, env, ctx) {
  const tries = [
    () => new Response("", { headers: { x: "a\r\nset-cookie: b" } }),
    () => new Response("", { headers: { "x: y\r\nz": "a" } }),
    () => new Response("", { statusText: "OK\r\nx: y" }),
    () => new Response("", { status: 101 }),
    () => new Response("", { status: 99 }),
    () => new Response("", { status: 1000 }),
    () => Response.redirect("https://a.example/\r\nx: y", 200),
  ];
  const wrong = [];
  for (const [at, attempt] of tries.entries()) {
    try {
      attempt();
      wrong.push(at);
    } catch {
      continue;
    }
  }
  return new Response(wrong.length ? wrong.join(" ") : "refused");
}
