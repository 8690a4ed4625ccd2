// URLs of megabytes, with a million parameters.
// expect: worker_cpu_limit worker_memory_limit worker_crashed worker_timeout worker_exception 200
export async function abuse(request, env, ctx) {
  for (;;) {
    const url = new URL("https://a.example/?" + "a=b&".repeat(500_000));
    url.searchParams.sort();
  }
}
