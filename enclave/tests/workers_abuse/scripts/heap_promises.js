// A storm of promises that nothing settles.
// expect: worker_memory_limit worker_cpu_limit worker_exception worker_never_answers
export async function abuse(request, env, ctx) {
  const all = [];
  for (;;) all.push(new Promise(() => {}).then(() => all));
}
