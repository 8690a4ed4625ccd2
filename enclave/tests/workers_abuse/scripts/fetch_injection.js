// Requests that would write heads of their own.
// expect: 200 refused
export async function abuse(request, env, ctx) {
  const tries = [
    () => fetch("https://a.example/", { headers: { x: "a\r\nhost: b" } }),
    () => fetch("https://a.example/", { headers: { "x\r\ny": "a" } }),
    () => fetch("https://a.example/", { headers: { x: "a\0b" } }),
    () => fetch("https://a.example/", { method: "GET / HTTP/1.1\r\nx: y" }),
    () => fetch("https://a.example/", { method: "CONNECT" }),
    () => fetch("https://a.example/", { method: "TRACE" }),
  ];
  const wrong = [];
  for (const [at, attempt] of tries.entries()) {
    const end = await Promise.try(attempt).then(
      () => "let out",
      (error) => (error instanceof TypeError ? "" : String(error)),
    );
    if (end) wrong.push(at + end);
  }
  return new Response(wrong.length ? wrong.join(" ") : "refused");
}
