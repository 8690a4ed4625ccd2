// More requests than there may be.
// expect: 200 refused worker_subrequest_limit
export async function abuse(request, env, ctx) {
  const all = [];
  for (let at = 0; at < 1000; at++) all.push(fetch("https://a.example/" + at));
  const ends = await Promise.allSettled(all);
  return new Response(ends.every((end) => end.status === "rejected") ? "refused" : "let out");
}
