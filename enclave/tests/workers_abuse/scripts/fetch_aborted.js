// Requests that are given up as soon as they are made.
// expect: 200 refused worker_subrequest_limit
export async function abuse(request, env, ctx) {
  for (let at = 0; at < 40; at++) {
    const signal = AbortSignal.abort();
    await fetch("https://a.example/", { signal }).catch(() => {});
    const controller = new AbortController();
    const asked = fetch("https://a.example/", { signal: controller.signal }).catch(() => {});
    controller.abort();
    await asked;
  }
  return new Response("refused");
}
