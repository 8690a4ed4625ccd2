// Keys so long that making one takes minutes.
// expect: worker_cpu_limit worker_memory_limit worker_crashed worker_timeout worker_exception 200
export async function abuse(request, env, ctx) {
  const how = { name: "RSA-PSS", modulusLength: 16384, publicExponent: new Uint8Array([1, 0, 1]), hash: "SHA-256" };
  for (;;) await crypto.subtle.generateKey(how, true, ["sign", "verify"]);
}
