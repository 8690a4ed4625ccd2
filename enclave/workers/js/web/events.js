(function (host, web) {
  "use strict";

  const PHASES = { NONE: 0, CAPTURING_PHASE: 1, AT_TARGET: 2, BUBBLING_PHASE: 3 };

  class Event {
    #type;
    #bubbles;
    #cancelable;
    #composed;
    #time = host.now();
    #canceled = false;
    #passive = false;
    #dispatching = false;
    #stopped = false;
    #stoppedNow = false;
    #phase = PHASES.NONE;
    #target = null;
    #current = null;
    #trusted = false;

    constructor(type, init = undefined) {
      if (arguments.length === 0) throw new TypeError("An event has a type");
      const { bubbles, cancelable, composed } = web.dictionary(init, "An event's init");
      this.#type = `${type}`;
      this.#bubbles = Boolean(bubbles);
      this.#cancelable = Boolean(cancelable);
      this.#composed = Boolean(composed);
    }

    get type() {
      return this.#type;
    }
    get bubbles() {
      return this.#bubbles;
    }
    get cancelable() {
      return this.#cancelable;
    }
    get composed() {
      return this.#composed;
    }
    get timeStamp() {
      return this.#time;
    }
    get eventPhase() {
      return this.#phase;
    }
    get target() {
      return this.#target;
    }
    get srcElement() {
      return this.#target;
    }
    get currentTarget() {
      return this.#current;
    }
    get isTrusted() {
      return this.#trusted;
    }
    get defaultPrevented() {
      return this.#canceled;
    }
    get returnValue() {
      return !this.#canceled;
    }
    set returnValue(value) {
      if (!value) this.preventDefault();
    }
    get cancelBubble() {
      return this.#stopped;
    }
    set cancelBubble(value) {
      if (value) this.#stopped = true;
    }

    composedPath() {
      return this.#current ? [this.#current] : [];
    }

    preventDefault() {
      if (this.#cancelable && !this.#passive) this.#canceled = true;
    }

    stopPropagation() {
      this.#stopped = true;
    }

    stopImmediatePropagation() {
      this.#stopped = true;
      this.#stoppedNow = true;
    }

    initEvent(type, bubbles = false, cancelable = false) {
      if (this.#dispatching) return;
      this.#type = `${type}`;
      this.#bubbles = Boolean(bubbles);
      this.#cancelable = Boolean(cancelable);
      this.#canceled = this.#stopped = this.#stoppedNow = false;
      this.#target = null;
    }

    static {
      // Calls the listeners of one target; there is no tree.
      web.fire = (event, target, listeners) => {
        event.#dispatching = true;
        event.#target = event.#current = target;
        event.#phase = PHASES.AT_TARGET;
        for (const capture of [true, false]) {
          if (event.#stopped) break;
          for (const listener of listeners.slice()) {
            if (event.#stoppedNow) break;
            if (listener.removed || listener.capture !== capture || listener.type !== event.#type) continue;
            if (listener.once) listener.remove();
            event.#passive = listener.passive;
            call(listener.callback, target, event);
            event.#passive = false;
          }
        }
        event.#phase = PHASES.NONE;
        event.#current = null;
        event.#dispatching = event.#stopped = event.#stoppedNow = false;
        return !event.#canceled;
      };
      web.isEvent = (value) => value !== null && typeof value === "object" && #type in value;
      web.isDispatching = (event) => event.#dispatching;
      web.trust = (event) => {
        event.#trusted = true;
        return event;
      };
    }
  }

  const call = (callback, target, event) => {
    try {
      if (typeof callback === "function") callback.call(target, event);
      else callback.handleEvent(event);
    } catch (error) {
      web.report(error);
    }
  };

  class EventTarget {
    #listeners = [];

    addEventListener(type, callback, options = undefined) {
      const { capture, once, passive, signal } = flags(options);
      const name = `${type}`;
      if (signal !== undefined && !web.isAbortSignal?.(signal))
        throw new TypeError("The signal is not an AbortSignal");
      if (callback === null || callback === undefined) return;
      if (typeof callback !== "function" && typeof callback !== "object") {
        throw new TypeError("The listener is neither a function nor an object");
      }
      if (signal?.aborted || this.#find(name, callback, capture)) return;
      const listener = { type: name, callback, capture, once, passive, removed: false };
      listener.remove = () => {
        listener.removed = true;
        this.#listeners = this.#listeners.filter((other) => other !== listener);
      };
      this.#listeners.push(listener);
      if (signal) web.onAbort(signal, listener.remove);
    }

    removeEventListener(type, callback, options = undefined) {
      this.#find(`${type}`, callback, flags(options).capture)?.remove();
    }

    dispatchEvent(event) {
      if (!web.isEvent(event)) throw new TypeError("The event is not an Event");
      if (web.isDispatching(event)) throw web.dom("InvalidStateError", "The event is being dispatched");
      return web.fire(event, this, this.#listeners);
    }

    #find(type, callback, capture) {
      return this.#listeners.find((l) => l.type === type && l.callback === callback && l.capture === capture);
    }

    static {
      web.hasListeners = (target, type) => target.#listeners.some((listener) => listener.type === type);
    }
  }

  const flags = (options) => {
    if (options === null || (typeof options !== "object" && typeof options !== "function")) {
      return { capture: Boolean(options), once: false, passive: false, signal: undefined };
    }
    const { capture, once, passive, signal } = options;
    return { capture: Boolean(capture), once: Boolean(once), passive: Boolean(passive), signal };
  };

  /** Gives a class an `on…` attribute. */
  web.handlerAttribute = (constructor, type) => {
    const handlers = new WeakMap();
    Object.defineProperty(constructor.prototype, `on${type}`, {
      get() {
        return handlers.get(this)?.callback ?? null;
      },
      set(value) {
        const callback =
          typeof value === "function" || (value !== null && typeof value === "object") ? value : null;
        const known = handlers.get(this);
        if (known) {
          known.callback = callback;
          return;
        }
        const handler = { callback };
        handlers.set(this, handler);
        this.addEventListener(type, (event) => {
          if (typeof handler.callback === "function") return handler.callback.call(this, event);
        });
      },
      enumerable: true,
      configurable: true,
    });
  };

  class CustomEvent extends Event {
    #detail;

    constructor(type, init = undefined) {
      super(...arguments);
      this.#detail = init?.detail ?? null;
    }

    get detail() {
      return this.#detail;
    }

    initCustomEvent(type, bubbles = false, cancelable = false, detail = null) {
      if (web.isDispatching(this)) return;
      this.initEvent(type, bubbles, cancelable);
      this.#detail = detail;
    }
  }

  class ErrorEvent extends Event {
    #init;

    constructor(type, init = undefined) {
      super(...arguments);
      const { message = "", filename = "", lineno = 0, colno = 0, error } = init ?? {};
      this.#init = {
        message: `${message}`,
        filename: web.usv(filename),
        lineno: lineno >>> 0,
        colno: colno >>> 0,
        error,
      };
    }

    get message() {
      return this.#init.message;
    }
    get filename() {
      return this.#init.filename;
    }
    get lineno() {
      return this.#init.lineno;
    }
    get colno() {
      return this.#init.colno;
    }
    get error() {
      return this.#init.error;
    }
  }

  class PromiseRejectionEvent extends Event {
    #promise;
    #reason;

    constructor(type, init) {
      super(...arguments);
      const { promise, reason } = web.dictionary(init, "The init");
      if (promise === undefined) throw new TypeError("The event has a promise");
      this.#promise = promise;
      this.#reason = reason;
    }

    get promise() {
      return this.#promise;
    }
    get reason() {
      return this.#reason;
    }
  }

  web.constants(Event, PHASES);
  for (const constructor of [Event, EventTarget, CustomEvent, ErrorEvent, PromiseRejectionEvent])
    web.idl(constructor);

  // The global object's own listeners.
  const target = new EventTarget();
  for (const name of ["addEventListener", "removeEventListener", "dispatchEvent"]) {
    web[name] = (...rest) => target[name](...rest);
    Object.defineProperty(web[name], "name", { value: name });
  }

  const tell = (event, handler) => {
    target.dispatchEvent(web.trust(event));
    return handler?.() || event.defaultPrevented;
  };

  let reporting = false;
  web.eventReport = (error) => {
    const { onerror } = globalThis;
    if (reporting || (!web.hasListeners(target, "error") && typeof onerror !== "function")) return false;
    reporting = true;
    try {
      const message = `Uncaught ${error}`;
      const event = new ErrorEvent("error", { message, error, cancelable: true });
      return tell(event, () => typeof onerror === "function" && onerror(message, "", 0, 0, error) === true);
    } finally {
      reporting = false;
    }
  };

  web.eventRejected = (promise, reason) => {
    const { onunhandledrejection } = globalThis;
    const event = new PromiseRejectionEvent("unhandledrejection", { promise, reason, cancelable: true });
    return tell(event, () => {
      if (typeof onunhandledrejection === "function") onunhandledrejection(event);
    });
  };
});
