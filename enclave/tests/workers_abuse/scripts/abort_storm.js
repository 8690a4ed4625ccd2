// Signals that follow signals.
// expect: worker_memory_limit worker_cpu_limit worker_exception worker_timer_limit
export async function abuse(request, env, ctx) {
  let signal = AbortSignal.timeout(100_000);
  for (;;) signal = AbortSignal.any([signal, AbortSignal.timeout(100_000)]);
}
