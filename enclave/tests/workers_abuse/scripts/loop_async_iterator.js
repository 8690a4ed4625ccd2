// An async iterator that is never done.
// expect: worker_cpu_limit
export async function abuse(request, env, ctx) {
  const endless = { [Symbol.asyncIterator]: () => ({ next: async () => ({ done: false }) }) };
  for await (const value of endless) void value;
}
