// URLs that lead to files, or nowhere.
// expect: 200 refused
export async function abuse(request, env, ctx) {
  const places = [
    "file:///etc/passwd", "file://localhost/etc/passwd", "ftp://a.example/", "gopher://a.example/", "blob:a", "about:blank",
    "javascript:1", "ws://a.example/", "unix:/run/docker.sock", "vsock://2:5002", "http:/\\/", "https://", "//a.example", "x",
  ];
  const reached = [];
  for (const place of places) {
    try {
      await fetch(place);
      reached.push(place);
    } catch {
      continue;
    }
  }
  return new Response(reached.length ? reached.join(" ") : "refused");
}
