(function (host, web) {
  "use strict";

  web.need("request");
  web.need("response");

  // Fetches that have no answer yet, and those whose answer's body is under way.
  const waiting = new Map();

  web.fetch = async function fetch(input, init = undefined) {
    const request = new web.Request(input, init);
    const signal = web.requestSignal(request);
    signal?.throwIfAborted();
    const { protocol } = splitScheme(request.url);
    if (protocol === "data:") return readData(request.url);
    if (protocol !== "http:" && protocol !== "https:") {
      throw new TypeError(`A worker can't fetch ${protocol} URLs`);
    }
    return send(request, signal);
  };

  const splitScheme = (url) => ({ protocol: url.slice(0, url.indexOf(":") + 1) });

  const send = (request, signal) =>
    new Promise((resolve, reject) => {
      const headers = web.listHeaders(request.headers).slice();
      const has = (name) => headers.some((text, i) => i % 2 === 0 && text === name);
      if (!has("accept")) headers.push("accept", "*/*");
      if (!has("user-agent")) headers.push("user-agent", web.userAgent);
      const content = web.requestContent(request);
      const body = content?.reader() ?? null;
      const hash = request.url.indexOf("#");
      const url = hash < 0 ? request.url : request.url.slice(0, hash);
      const id = host.fetch(request.method, url, headers, body !== null, request.redirect);
      const call = {
        resolve,
        reject,
        method: request.method,
        channel: web.receive(id),
        stopListening: null,
      };
      waiting.set(id, call);
      if (signal) call.stopListening = web.onAbort(signal, (reason) => cancel(id, call, reason));
      if (body) web.pump(id, body).catch((error) => cancel(id, call, error));
    });

  const cancel = (id, call, reason) => {
    if (!web.breakChannel(id, reason)) return;
    waiting.delete(id);
    web.cancelOutgoing(id, reason);
    call.reject(reason);
  };

  web.fetchHead = (id, status, statusText, headers, url, redirected) => {
    const call = waiting.get(id);
    if (!call) return;
    waiting.delete(id);
    const content = call.method === "HEAD" ? null : web.contentFrom(call.channel);
    call.resolve(web.fetchedResponse({ status, statusText, headers, url, redirected }, content));
  };

  web.fetchFailed = (id, code, message) => {
    const call = waiting.get(id);
    if (!call) return;
    waiting.delete(id);
    call.stopListening?.();
    const error = fetchError(code, message);
    web.cancelOutgoing(id, error);
    web.deliverEnd(id, error);
    call.reject(error);
  };

  /** What a fetch throws. */
  const fetchError = (code, message) => {
    const error = new TypeError(message);
    Object.defineProperty(error, "code", { value: code, writable: true, configurable: true });
    return error;
  };
  web.fetchError = fetchError;

  web.dropFetches = () => waiting.clear();

  // A `data:` URL, as the Fetch Standard reads it.
  const readData = (url) => {
    const hash = url.indexOf("#");
    const text = url.slice("data:".length, hash < 0 ? undefined : hash);
    const comma = text.indexOf(",");
    if (comma < 0) throw new TypeError("Invalid data: URL");
    let type = text.slice(0, comma).trim();
    let bytes = unescape(text.slice(comma + 1));
    const base64 = /; *base64$/i.exec(type);
    if (base64) {
      type = type.slice(0, base64.index);
      bytes = fromBase64(bytes);
    }
    if (type.startsWith(";")) type = `text/plain${type}`;
    if (!/^[^/;\s]+\/[^/;\s]+/.test(type)) type = "text/plain;charset=US-ASCII";
    const head = { status: 200, statusText: "OK", headers: ["content-type", type], url, redirected: false };
    return web.fetchedResponse(head, web.contentOf(bytes));
  };

  const unescape = (text) => {
    const bytes = web.encode(text);
    let length = 0;
    for (let i = 0; i < bytes.length; i++) {
      let byte = bytes[i];
      const high = byte === 0x25 ? hex(bytes[i + 1]) : -1;
      const low = high < 0 ? -1 : hex(bytes[i + 2]);
      if (low >= 0) {
        byte = high * 16 + low;
        i += 2;
      }
      bytes[length++] = byte;
    }
    return bytes.subarray(0, length);
  };

  const hex = (byte) => {
    if (byte >= 0x30 && byte <= 0x39) return byte - 0x30;
    const lower = byte | 0x20;
    return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : -1;
  };

  const { atob } = globalThis;
  const fromBase64 = (bytes) => {
    try {
      const text = atob(web.decode(bytes));
      return Uint8Array.from(text, (character) => character.charCodeAt(0));
    } catch {
      throw new TypeError("Invalid data: URL");
    }
  };
});
