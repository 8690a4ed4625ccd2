import { show, thrown, until } from "./tools.mjs";

export default {
  "listeners are called in order, once each"() {
    const target = new EventTarget();
    const seen = [];
    const listener = () => seen.push("a");
    target.addEventListener("x", listener);
    target.addEventListener("x", listener);
    target.addEventListener("x", () => seen.push("b"));
    target.dispatchEvent(new Event("x"));
    target.removeEventListener("x", listener);
    target.dispatchEvent(new Event("x"));
    return seen;
  },
  "once": () => { const target = new EventTarget(); let count = 0; target.addEventListener("x", () => count++, { once: true }); target.dispatchEvent(new Event("x")); target.dispatchEvent(new Event("x")); return count; },
  "an object with handleEvent"() { const target = new EventTarget(); let seen; target.addEventListener("x", { handleEvent(event) { seen = [event.type, this !== undefined]; } }); target.dispatchEvent(new Event("x")); return seen; },
  "stopImmediatePropagation"() { const target = new EventTarget(); const seen = []; target.addEventListener("x", (event) => { seen.push(1); event.stopImmediatePropagation(); }); target.addEventListener("x", () => seen.push(2)); target.dispatchEvent(new Event("x")); return seen; },
  "preventDefault": () => { const target = new EventTarget(); target.addEventListener("x", (event) => event.preventDefault()); return [target.dispatchEvent(new Event("x")), target.dispatchEvent(new Event("x", { cancelable: true }))]; },
  "passive listeners can't prevent": () => { const target = new EventTarget(); target.addEventListener("x", (event) => event.preventDefault(), { passive: true }); return target.dispatchEvent(new Event("x", { cancelable: true })); },
  "what an event has": () => { const event = new Event("x", { bubbles: true }); return [event.type, event.bubbles, event.cancelable, event.defaultPrevented, event.target, event.eventPhase, event.isTrusted, event.composed]; },
  "target while it is dispatched": () => { const target = new EventTarget(); let seen; target.addEventListener("x", (event) => { seen = [event.target === target, event.currentTarget === target, event.eventPhase]; }); const event = new Event("x"); target.dispatchEvent(event); return [...seen, event.currentTarget]; },
  "dispatching twice at once is refused": async () => { const target = new EventTarget(); let error; target.addEventListener("x", async (event) => { try { target.dispatchEvent(event); } catch (caught) { error = show(caught); } }); target.dispatchEvent(new Event("x")); return error; },
  "a signal removes a listener": () => { const target = new EventTarget(); const controller = new AbortController(); let count = 0; target.addEventListener("x", () => count++, { signal: controller.signal }); target.dispatchEvent(new Event("x")); controller.abort(); target.dispatchEvent(new Event("x")); return count; },
  "CustomEvent carries detail": () => [new CustomEvent("x", { detail: { a: 1 } }).detail, new CustomEvent("x").detail],
  "abort, once": () => { const controller = new AbortController(); const seen = []; controller.signal.addEventListener("abort", (event) => seen.push(event.type)); controller.signal.onabort = () => seen.push("on"); controller.abort("why"); controller.abort("again"); return [seen, controller.signal.aborted, controller.signal.reason]; },
  "the reason by default": () => show(AbortSignal.abort().reason),
  "throwIfAborted": async () => [await thrown(() => new AbortController().signal.throwIfAborted()), await thrown(() => AbortSignal.abort(new EvalError("e")).throwIfAborted())],
  "AbortSignal.timeout": async () => { const signal = AbortSignal.timeout(1); await until(() => signal.aborted); return [signal.aborted, show(signal.reason)]; },
  "AbortSignal.any": () => { const [a, b] = [new AbortController(), new AbortController()]; const any = AbortSignal.any([a.signal, b.signal]); b.abort("b"); a.abort("a"); return [any.aborted, any.reason, AbortSignal.any([]).aborted]; },
  "DOMException": () => { const error = new DOMException("text", "NotFoundError"); return [error.name, error.message, error.code, error instanceof Error, DOMException.ABORT_ERR, new DOMException().name]; },
  "classes that can't be made": async () => [await thrown(() => new AbortSignal()), await thrown(() => Event("x")), await thrown(() => new Event())],
};
