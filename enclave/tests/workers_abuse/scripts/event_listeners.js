// Listeners that listen to themselves.
// expect: worker_memory_limit worker_cpu_limit worker_exception 200 200
export async function abuse(request, env, ctx) {
  const target = new EventTarget();
  target.addEventListener("a", () => target.dispatchEvent(new Event("a")));
  try {
    target.dispatchEvent(new Event("a"));
  } catch {
    // The stack has an end.
  }
  for (let at = 0; ; at++) target.addEventListener("b" + at, () => {});
}
