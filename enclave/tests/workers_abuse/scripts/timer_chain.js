// Timers that set timers, each as busy as may be.
// expect: worker_cpu_limit worker_timeout
export async function abuse(request, env, ctx) {
  const again = () => {
    const end = Date.now() + 20;
    while (Date.now() < end) {}
    setTimeout(again, 0);
  };
  again();
  await new Promise(() => {});
}
