// An iterator that is never done.
// expect: worker_cpu_limit
export async function abuse(request, env, ctx) {
  const endless = { [Symbol.iterator]: () => ({ next: () => ({ done: false, value: 0 }) }) };
  for (const value of endless) void value;
}
