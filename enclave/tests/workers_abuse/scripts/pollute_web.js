// The web's own classes, taken apart.
// expect: 200 polluted worker_exception worker_bad_response worker_never_answers
// breaks itself
export async function abuse(request, env, ctx) {
  for (const type of [Response, Request, Headers, ReadableStream, URL, TextEncoder, AbortController, Event, EventTarget]) {
    for (const name of Object.getOwnPropertyNames(type.prototype)) {
      if (name !== "constructor") Object.defineProperty(type.prototype, name, { configurable: true, get: () => () => null });
    }
  }
  globalThis.Response = globalThis.Headers = globalThis.Uint8Array = class {};
  return new Response("polluted");
}
