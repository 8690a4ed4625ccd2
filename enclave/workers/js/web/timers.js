(function (host, web) {
  "use strict";

  const MAX_DELAY = 0x7fffffff;
  // By the engine's id, which changes with each round of an interval, and by the worker's.
  const byHost = new Map();
  const byId = new Map();
  let last = 0;

  const arm = (timer) => {
    timer.host = host.timer(timer.delay);
    byHost.set(timer.host, timer);
  };

  const start = (callback, delay, rest, repeats) => {
    if (typeof callback !== "function") throw new TypeError("The callback is not a function");
    const number = Math.trunc(Number(delay));
    const timer = {
      id: ++last,
      callback,
      rest,
      repeats,
      delay: number > 0 && number <= MAX_DELAY ? number : 0,
      host: 0,
    };
    arm(timer);
    byId.set(timer.id, timer);
    return timer.id;
  };

  const stop = (id) => {
    const timer = byId.get(Number(id));
    if (!timer) return;
    byId.delete(timer.id);
    byHost.delete(timer.host);
    host.clearTimer(timer.host);
  };

  /** A timer is due. */
  web.fireTimer = (id) => {
    const timer = byHost.get(id);
    if (!timer) return;
    byHost.delete(id);
    if (!timer.repeats) byId.delete(timer.id);
    try {
      timer.callback.apply(globalThis, timer.rest);
    } catch (error) {
      web.report(error);
    }
    if (timer.repeats && byId.has(timer.id)) arm(timer);
  };

  /** The timers of an event that is over. */
  web.dropTimers = () => {
    byHost.clear();
    byId.clear();
  };

  /** Runs a part's own callback later. */
  web.later = (delay, callback) => start(callback, delay, [], false);

  web.setTimeout = function setTimeout(callback, delay = 0, ...rest) {
    return start(callback, delay, rest, false);
  };
  web.setInterval = function setInterval(callback, delay = 0, ...rest) {
    return start(callback, delay, rest, true);
  };
  web.clearTimeout = function clearTimeout(id = 0) {
    stop(id);
  };
  web.clearInterval = function clearInterval(id = 0) {
    stop(id);
  };
});
