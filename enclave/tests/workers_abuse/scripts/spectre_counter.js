// A counter beside the clock, which only a second thread could read.
// expect: worker_cpu_limit
export async function abuse(request, env, ctx) {
  let counter = 0;
  const count = async () => {
    for (;;) {
      counter++;
      if (counter % 1000 === 0) await null;
    }
  };
  await Promise.all([count(), count()]);
}
