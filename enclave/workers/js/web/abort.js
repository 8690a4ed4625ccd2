(function (host, web) {
  "use strict";

  web.need("events");
  let making = false;

  class AbortSignal extends web.EventTarget {
    #aborted = false;
    #reason = undefined;
    #steps = new Set();
    // Signals that this one depends on, where `any` made it.
    #sources = null;

    constructor() {
      if (!making) throw new TypeError("Illegal constructor");
      super();
    }

    static abort(reason = undefined) {
      const signal = make();
      signal.#aborted = true;
      signal.#reason = reason === undefined ? web.dom("AbortError", "This operation was aborted") : reason;
      return signal;
    }

    static timeout(milliseconds) {
      const delay = Number(milliseconds);
      if (!Number.isFinite(delay) || delay < 0 || delay > Number.MAX_SAFE_INTEGER) {
        throw new TypeError("The timeout is not a number of milliseconds");
      }
      const signal = make();
      web.later(delay, () => signal.#abort(web.dom("TimeoutError", "The operation timed out")));
      return signal;
    }

    static any(signals) {
      const sources = [...signals];
      for (const source of sources) {
        if (!web.isAbortSignal(source)) throw new TypeError("A signal is not an AbortSignal");
      }
      const signal = make();
      const first = sources.find((source) => source.#aborted);
      if (first) {
        signal.#aborted = true;
        signal.#reason = first.#reason;
        return signal;
      }
      signal.#sources = new Set(
        sources.flatMap((source) => (source.#sources ? [...source.#sources] : [source])),
      );
      for (const source of signal.#sources) source.#steps.add(() => signal.#abort(source.#reason));
      return signal;
    }

    get aborted() {
      return this.#aborted;
    }

    get reason() {
      return this.#reason;
    }

    throwIfAborted() {
      if (this.#aborted) throw this.#reason;
    }

    #abort(reason) {
      if (this.#aborted) return;
      this.#aborted = true;
      this.#reason = reason === undefined ? web.dom("AbortError", "This operation was aborted") : reason;
      const steps = [...this.#steps];
      this.#steps.clear();
      for (const step of steps) step(this.#reason);
      this.dispatchEvent(web.trust(new web.Event("abort")));
    }

    static {
      web.isAbortSignal = (value) => value !== null && typeof value === "object" && #aborted in value;
      web.abort = (signal, reason) => signal.#abort(reason);
      /** Calls a function when the signal is aborted; what is returned takes it back. */
      web.onAbort = (signal, step) => {
        signal.#steps.add(step);
        return () => signal.#steps.delete(step);
      };
    }
  }

  const make = () => {
    making = true;
    try {
      return new AbortSignal();
    } finally {
      making = false;
    }
  };
  web.makeSignal = make;

  class AbortController {
    #signal = make();

    get signal() {
      return this.#signal;
    }

    abort(reason = undefined) {
      web.abort(this.#signal, reason);
    }
  }

  web.idl(AbortSignal);
  web.idl(AbortController);
  web.handlerAttribute(AbortSignal, "abort");
  web.need("timers");
});
