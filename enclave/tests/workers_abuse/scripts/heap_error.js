// An exception with a text of megabytes, thrown by a stack of them.
// expect: worker_memory_limit worker_cpu_limit worker_exception
export async function abuse(request, env, ctx) {
  const fail = (depth) => {
    if (depth === 0) throw new Error("x".repeat(5_000_000));
    try {
      fail(depth - 1);
    } catch (cause) {
      throw new Error("y".repeat(1_000_000), { cause });
    }
  };
  fail(10);
}
