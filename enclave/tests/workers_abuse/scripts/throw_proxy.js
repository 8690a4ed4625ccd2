// An exception that is nothing but traps.
// expect: worker_cpu_limit worker_exception
export async function abuse(request, env, ctx) {
  const trap = () => {
    throw thrown;
  };
  const thrown = new Proxy(() => {}, { get: trap, getPrototypeOf: trap, has: trap, ownKeys: trap });
  throw thrown;
}
