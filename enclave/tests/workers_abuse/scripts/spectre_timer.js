// A clock fine enough to see what another process does.
// expect: 200 coarse
export async function abuse(request, env, ctx) {
  let smallest = Infinity;
  for (const clock of [() => Date.now(), () => performance.now()]) {
    let last = clock();
    for (let at = 0; at < 50_000; at++) {
      const now = clock();
      if (now !== last) smallest = Math.min(smallest, now - last);
      last = now;
    }
  }
  const fine = typeof SharedArrayBuffer !== "undefined" || typeof Atomics?.wait === "function" && typeof SharedArrayBuffer !== "undefined";
  return new Response(smallest < 1 || fine ? `fine ${smallest}` : "coarse");
}
