// Constructors that native code calls.
// expect: 200 polluted worker_exception worker_bad_response worker_cpu_limit worker_never_answers
// breaks itself
export async function abuse(request, env, ctx) {
  const endless = { get: () => class { constructor() { for (;;) {} } }, configurable: true };
  for (const type of [Array, Promise, ArrayBuffer, RegExp, Object.getPrototypeOf(Uint8Array)]) {
    Object.defineProperty(type, Symbol.species, endless);
  }
  return new Response("polluted");
}
