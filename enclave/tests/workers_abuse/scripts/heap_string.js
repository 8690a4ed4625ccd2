// A text that doubles.
// expect: worker_memory_limit worker_cpu_limit worker_exception
export async function abuse(request, env, ctx) {
  let text = "abcdefgh";
  for (;;) text = text + text + text.length;
}
