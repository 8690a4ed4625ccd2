// Texts made of bytes made of texts.
// expect: worker_memory_limit worker_cpu_limit worker_exception
export async function abuse(request, env, ctx) {
  let text = "\u{1f600}".repeat(1000);
  for (;;) text += new TextDecoder("utf-16le").decode(new TextEncoder().encode(text));
}
