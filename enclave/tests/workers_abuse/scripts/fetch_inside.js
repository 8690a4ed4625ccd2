// Addresses that are nobody's business: the node, its machine, the cloud's metadata.
// expect: 200 refused
export async function abuse(request, env, ctx) {
  const places = [
    "http://127.0.0.1/", "http://127.1/", "http://2130706433/", "http://0x7f000001/", "http://0177.0.0.1/",
    "http://0/", "http://0.0.0.0:8545/", "http://localhost/", "http://LOCALHOST:4007/", "http://a.localhost/",
    "http://[::1]/", "http://[::]/", "http://[::ffff:127.0.0.1]/", "http://[::ffff:7f00:1]/", "http://[64:ff9b::7f00:1]/",
    "http://169.254.169.254/latest/meta-data/", "http://[fd00:ec2::254]/", "http://metadata.google.internal/",
    "http://10.0.0.1/", "http://172.16.0.1/", "http://192.168.0.1/", "http://100.64.0.1/", "http://[fe80::1]/",
    "http://[fc00::1]/", "http://224.0.0.1/", "http://255.255.255.255/", "http://router.local/", "http://node.internal/",
    "https://localhost:4007/", "https://localhost:4020/", "http://127.0.0.1:8545/", "http://user:pass@127.0.0.1/",
    "http://127.0.0.1.:80/", "http://\u2460\u2461\u2466.0.0.1/", "http://127。0。0。1/",
  ];
  const reached = [];
  for (const place of places.slice(Number(new URL(request.url).searchParams.get("from") ?? 0)).slice(0, 45)) {
    try {
      await fetch(place);
      reached.push(place);
    } catch {
      continue;
    }
  }
  return new Response(reached.length ? reached.join(" ") : "refused");
}
