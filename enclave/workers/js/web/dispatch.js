(function (host, web) {
  "use strict";

  const LEVEL_ERROR = 4;
  const NOTHING = new Uint8Array(0);

  /** An error with a code of jeju_worker_protocol. */
  const coded = (code, message) => Object.assign(new TypeError(message), { code });

  /** The object with the handlers of a module. */
  const handlersOf = (module) => {
    const handlers = module.default;
    return handlers !== null && (typeof handlers === "object" || typeof handlers === "function")
      ? handlers
      : {};
  };

  /** Which handlers a module has. */
  web.inspect = (module, form) => {
    const handlers = handlersOf(module);
    return {
      fetch: typeof handlers.fetch === "function",
      scheduled: typeof handlers.scheduled === "function",
      legacy: form === "legacy",
    };
  };

  /** The event is over: what is left of it doesn't reach the next one. */
  web.ended = () => {
    web.dropTimers?.();
    web.dropBodies?.();
    web.dropFetches?.();
  };

  class ExecutionContext {
    // None until somebody asks.
    #waiting = null;
    #answered = false;

    waitUntil(promise) {
      (this.#waiting ??= []).push(Promise.resolve(promise).then(undefined, host.caught));
      // The engine looks for it before it ends the event.
      if (this.#answered) web.late ??= allWaited(this);
    }

    // There is no origin to pass to.
    passThroughOnException() {}

    static {
      web.allWaited = async (context) => {
        while (context.#waiting?.length > 0) await Promise.all(context.#waiting.splice(0));
      };
      /** The answer is sent: a promise of what is waited for, if there is anything. */
      web.finish = (context) => {
        context.#answered = true;
        return context.#waiting ? web.allWaited(context) : undefined;
      };
    }
  }

  const { allWaited, finish } = web;

  /**
   * Runs `fetch`. A promise that settles when its answer is sent and all that it asked to wait for has settled; undefined
   * where that is so at once.
   */
  web.dispatchFetch = (module, env, form, method, url, headers, body) => {
    const handlers = handlersOf(module);
    if (typeof handlers.fetch !== "function") throw coded("worker_no_handler", "No fetch handler exported");
    const context = new ExecutionContext();
    // No body at all is one that comes in pieces.
    const event = { method, url, headers, body, streaming: body === undefined };
    if (form === "legacy") return dispatchPlain(handlers, event, env, context);
    if (!web.Request) web.need("request");
    const output = handlers.fetch(web.incomingRequest(event, form === "detect"), env, context);
    return web.isResponse?.(output) && output.then === undefined
      ? answer(output, context)
      : answerLater(output, context);
  };

  const dispatchPlain = async (handlers, event, env, context) =>
    answerLater(handlers.fetch(await plainRequest(event), env, context), context);

  const answerLater = async (output, context) => {
    const rest = answer(await output, context);
    if (rest) await rest;
  };

  const answer = (output, context) => {
    const sending = send(readAnswer(output));
    return sending ? finishLater(sending, context) : finish(context);
  };

  const finishLater = async (sending, context) => {
    await sending;
    await finish(context);
  };

  /** Runs `scheduled`. */
  web.dispatchScheduled = async (module, event, env) => {
    const handlers = handlersOf(module);
    if (typeof handlers.scheduled !== "function")
      throw coded("worker_no_handler", "No scheduled handler exported");
    const context = new ExecutionContext();
    const controller = {
      type: "scheduled",
      cron: event.cron,
      scheduledTime: event.scheduledTime,
      noRetry() {},
      waitUntil: (promise) => context.waitUntil(promise),
    };
    await handlers.scheduled(controller, env, context);
    await finish(context);
  };

  /** The request that handlers of the first nodes know. */
  const plainRequest = async (event) => {
    web.need("body");
    let body = event.body ?? NOTHING;
    if (event.streaming) body = await web.contentFrom(web.receive(0)).take();
    const headers = {};
    for (let i = 0; i < event.headers.length; i += 2) {
      const [name, value] = event.headers.slice(i, i + 2);
      const known = Object.hasOwn(headers, name) ? `${headers[name]}, ${value}` : value;
      Object.defineProperty(headers, name, {
        value: known,
        writable: true,
        enumerable: true,
        configurable: true,
      });
    }
    return { method: event.method, url: event.url, headers, body: web.decode(body), cf: {} };
  };

  /** The response that a handler's answer is: one, or a plain object with some of its members. */
  const readAnswer = (output) => {
    if (!web.Response) web.need("response");
    if (web.isResponse(output)) {
      if (output.type === "error")
        throw coded("worker_bad_response", "The handler answered with Response.error()");
      if (output.bodyUsed || web.responseContent(output)?.locked) {
        throw coded("worker_bad_response", "The body of the handler's answer was read already");
      }
      return output;
    }
    const isObject = output !== null && typeof output === "object" && !web.isRequest?.(output);
    if (!isObject || !["status", "headers", "body"].some((key) => key in output))
      throw coded("worker_bad_response", "The handler's answer is no Response");
    try {
      const { status = 200, statusText = "", headers = {} } = output;
      const [body, type] = plainBody(output.body);
      const response = new web.Response(body, { status, statusText, headers: headers ?? {} });
      if (type !== null && !new web.Headers(headers ?? {}).has("content-type"))
        response.headers.set("content-type", type);
      return response;
    } catch (error) {
      throw coded("worker_bad_response", `The handler's answer is no Response: ${error?.message ?? error}`);
    }
  };

  /** A plain answer's body, and its type where it isn't the body's own. */
  const plainBody = (body) => {
    if (body === undefined || body === null || typeof body === "string") return [body ?? null, null];
    const isInit =
      web.view(body) ||
      web.isBlob?.(body) ||
      web.isFormData?.(body) ||
      web.isParams?.(body) ||
      web.isStream?.(body);
    return isInit ? [body, null] : [JSON.stringify(body), "application/json"];
  };

  /** Sends an answer: at once, or a promise of its end. */
  const send = (response) => {
    const { status, statusText } = response;
    const headers = web.listHeaders(response.headers);
    const content = web.responseContent(response);
    if (!content) host.head(status, statusText, headers, NOTHING);
    else if (content.whole) host.head(status, statusText, headers, content.take());
    else return stream(content, status, statusText, headers);
  };

  const stream = async (content, status, statusText, headers) => {
    const reader = content.reader();
    web.need("channels");
    host.head(status, statusText, headers, null);
    await web.pump(0, reader);
  };

  /** What the engine has for the worker. */
  web.deliver = (kind, ...rest) => {
    switch (kind) {
      case "timer":
        return web.fireTimer?.(...rest);
      case "fetchHead":
        return web.fetchHead?.(...rest);
      case "fetchFailed":
        return web.fetchFailed?.(...rest);
      case "body":
        return web.deliverBody?.(...rest);
      case "bodyEnd": {
        const [id, code, message] = rest;
        return web.deliverEnd?.(id, code === null || code === undefined ? null : coded(code, message));
      }
      case "credit":
        return web.deliverCredit?.(...rest);
      default:
        host.log(LEVEL_ERROR, `unknown event ${kind}`);
    }
  };
});
