// A key derived in more rounds than a day has room for.
// expect: worker_cpu_limit worker_memory_limit worker_crashed worker_timeout worker_exception 200
export async function abuse(request, env, ctx) {
  const key = await crypto.subtle.importKey("raw", new Uint8Array(16), "PBKDF2", false, ["deriveBits"]);
  const how = { name: "PBKDF2", hash: "SHA-512", salt: new Uint8Array(16), iterations: 2 ** 32 - 1 };
  await crypto.subtle.deriveBits(how, key, 512 * 64);
}
