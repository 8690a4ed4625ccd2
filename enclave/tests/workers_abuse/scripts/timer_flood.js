// More timers than there may be.
// expect: worker_timer_limit worker_exception
export async function abuse(request, env, ctx) {
  for (let at = 0; at < 1_000_000; at++) setTimeout(() => {}, 100_000);
}
