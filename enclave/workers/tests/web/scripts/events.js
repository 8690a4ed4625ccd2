test("listeners are called in order, with their target", () => {
  const target = new EventTarget();
  const seen = [];
  target.addEventListener("a", function (event) {
    seen.push([
      1,
      this === target,
      event.target === target,
      event.currentTarget === target,
      event.eventPhase,
    ]);
  });
  target.addEventListener("a", { handleEvent: (event) => seen.push([2, event.type]) });
  target.addEventListener("b", () => seen.push("wrong"));
  const event = new Event("a");
  equal(target.dispatchEvent(event), true);
  equal(seen, [
    [1, true, true, true, 2],
    [2, "a"],
  ]);
  equal([event.target === target, event.currentTarget, event.eventPhase], [true, null, 0]);
});

test("the same listener is added once, and removed by what it was added with", () => {
  const target = new EventTarget();
  let count = 0;
  const listener = () => count++;
  target.addEventListener("a", listener);
  target.addEventListener("a", listener);
  target.addEventListener("a", listener, { capture: true });
  target.dispatchEvent(new Event("a"));
  equal(count, 2);
  target.removeEventListener("a", listener, true);
  target.dispatchEvent(new Event("a"));
  equal(count, 3);
  target.removeEventListener("a", listener);
  target.dispatchEvent(new Event("a"));
  equal(count, 3);
});

test("once, passive, signal", () => {
  const target = new EventTarget();
  const controller = new AbortController();
  const seen = [];
  target.addEventListener("a", () => seen.push("once"), { once: true });
  target.addEventListener("a", (event) => event.preventDefault(), { passive: true });
  target.addEventListener("a", () => seen.push("signal"), { signal: controller.signal });
  equal(target.dispatchEvent(new Event("a", { cancelable: true })), true);
  controller.abort();
  target.addEventListener("a", () => seen.push("never"), { signal: controller.signal });
  target.dispatchEvent(new Event("a"));
  equal(seen, ["once", "signal"]);
});

test("preventDefault works where it may", () => {
  const target = new EventTarget();
  target.addEventListener("a", (event) => event.preventDefault());
  equal(target.dispatchEvent(new Event("a", { cancelable: true })), false);
  equal(target.dispatchEvent(new Event("a")), true);
});

test("stopImmediatePropagation stops, stopPropagation leaves the target's own", () => {
  const target = new EventTarget();
  const seen = [];
  target.addEventListener("a", (event) => {
    seen.push(1);
    event.stopPropagation();
  });
  target.addEventListener("a", (event) => {
    seen.push(2);
    event.stopImmediatePropagation();
  });
  target.addEventListener("a", () => seen.push(3));
  target.dispatchEvent(new Event("a"));
  equal(seen, [1, 2]);
});

test("an event that is being dispatched isn't dispatched again", () => {
  const target = new EventTarget();
  let error;
  target.addEventListener("a", (event) => {
    error = throws("InvalidStateError", () => target.dispatchEvent(event));
  });
  target.dispatchEvent(new Event("a"));
  ok(error);
  throws(TypeError, () => target.dispatchEvent({ type: "a" }));
  throws(TypeError, () => new Event());
});

test("listeners that are added or removed meanwhile", () => {
  const target = new EventTarget();
  const seen = [];
  const second = () => seen.push("second");
  target.addEventListener("a", () => {
    seen.push("first");
    target.removeEventListener("a", second);
    target.addEventListener("a", () => seen.push("added"));
  });
  target.addEventListener("a", second);
  target.dispatchEvent(new Event("a"));
  equal(seen, ["first"]);
});

test("events with more to say", () => {
  equal(new CustomEvent("a", { detail: { b: 1 } }).detail, { b: 1 });
  equal(new CustomEvent("a").detail, null);
  const error = new ErrorEvent("error", { message: "m", filename: "f", lineno: 3, colno: 4, error: 5 });
  equal([error.message, error.filename, error.lineno, error.colno, error.error], ["m", "f", 3, 4, 5]);
  const promise = Promise.resolve();
  const rejection = new PromiseRejectionEvent("unhandledrejection", { promise, reason: 1 });
  equal([rejection.promise === promise, rejection.reason], [true, 1]);
  throws(TypeError, () => new PromiseRejectionEvent("a"));
  ok(error instanceof Event);
});

test("classes may be derived from EventTarget", () => {
  class Door extends EventTarget {
    open() {
      this.dispatchEvent(new Event("open"));
    }
  }
  const door = new Door();
  let opened = 0;
  door.addEventListener("open", () => opened++);
  door.open();
  equal(opened, 1);
});

test("errors that are reported reach the global object's listeners", () => {
  const seen = [];
  const listener = (event) => {
    seen.push(event.error.message);
    event.preventDefault();
  };
  addEventListener("error", listener);
  reportError(new Error("mine"));
  const target = new EventTarget();
  target.addEventListener("a", () => {
    throw new Error("thrown");
  });
  target.dispatchEvent(new Event("a"));
  removeEventListener("error", listener);
  equal(seen, ["mine", "thrown"]);
  globalThis.onerror = (message, file, line, column, error) => {
    seen.push(error.message);
    return true;
  };
  reportError(new Error("again"));
  globalThis.onerror = null;
  equal(seen, ["mine", "thrown", "again"]);
  throws(TypeError, () => reportError());
});
