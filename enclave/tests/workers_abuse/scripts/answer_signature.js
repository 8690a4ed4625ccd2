// Fields that only the node may write: the client checks what came.
// expect: 200 signed
export async function abuse(request, env, ctx) {
  const names = [
    "jeju-quote", "jeju-claims", "jeju-evidence", "jeju-nonce", "jeju-channel", "jeju-worker", "jeju-request-digest",
    "signature", "signature-input", "content-digest", "content-length", "transfer-encoding", "connection", "trailer",
  ];
  const headers = new Headers();
  for (const name of names) headers.append(name, "1");
  return new Response("signed", { headers });
}
