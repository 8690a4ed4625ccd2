// The `console` namespace: lines for the worker's log.
(function (host, web) {
  "use strict";

  const DEBUG = 0;
  const LOG = 1;
  const INFO = 2;
  const WARN = 3;
  const ERROR = 4;
  const LABELS = 1000;
  const counts = new Map();
  const timers = new Map();
  let indent = "";

  const emit = (level, text) =>
    host.log(level, indent === "" ? text : indent + text.replaceAll("\n", `\n${indent}`));

  const print = (level, given) => {
    // The usual line needs none of the formatting.
    if (given.length === 1 && typeof given[0] === "string") return emit(level, given[0]);
    web.need("console-format");
    return emit(level, web.consoleFormat(given));
  };

  const set = (map, label, value) => {
    if (map.size >= LABELS && !map.has(label)) map.delete(map.keys().next().value);
    map.set(label, value);
  };

  const elapsed = (label, rest) => {
    const start = timers.get(label);
    if (start === undefined) return emit(WARN, `Timer '${label}' does not exist`);
    const time = `${label}: ${Math.max(0, host.now() - start)}ms`;
    return print(LOG, rest.length === 0 ? [time] : ["%s", time, ...rest]);
  };

  const group = (level, given) => {
    if (given.length > 0) print(level, given);
    if (indent.length < 200) indent += "  ";
  };

  const methods = {
    log(...given) {
      print(LOG, given);
    },
    info(...given) {
      print(INFO, given);
    },
    warn(...given) {
      print(WARN, given);
    },
    error(...given) {
      print(ERROR, given);
    },
    debug(...given) {
      print(DEBUG, given);
    },

    assert(condition = false, ...given) {
      if (condition) return;
      if (typeof given[0] === "string") print(ERROR, [`Assertion failed: ${given[0]}`, ...given.slice(1)]);
      else print(ERROR, given.length === 0 ? ["Assertion failed"] : ["Assertion failed:", ...given]);
    },

    trace(...given) {
      web.need("console-format");
      const text = web.consoleFormat(given);
      const frames = web.consoleTexts.frames(new Error().stack);
      emit(DEBUG, `Trace${text === "" ? "" : `: ${text}`}\n${frames}`);
    },

    dir(value, options) {
      web.need("console-inspect");
      const depth = options?.depth;
      emit(
        LOG,
        web.consoleInspect(
          value,
          depth === null ? 100 : typeof depth === "number" ? Math.min(depth, 100) : 2,
        ),
      );
    },

    dirxml(...given) {
      print(LOG, given);
    },

    table(data, columns) {
      if (typeof data !== "object" || data === null) return print(LOG, [data]);
      web.need("console-table");
      return emit(
        LOG,
        web.consoleTable(data, columns === undefined ? undefined : Array.from(columns, String)),
      );
    },

    group(...given) {
      group(LOG, given);
    },
    groupCollapsed(...given) {
      group(LOG, given);
    },
    groupEnd() {
      indent = indent.slice(2);
    },

    count(label = "default") {
      const name = String(label);
      const count = (counts.get(name) ?? 0) + 1;
      set(counts, name, count);
      emit(LOG, `${name}: ${count}`);
    },

    countReset(label = "default") {
      const name = String(label);
      if (!counts.delete(name)) emit(WARN, `Count for '${name}' does not exist`);
    },

    time(label = "default") {
      const name = String(label);
      if (timers.has(name)) emit(WARN, `Timer '${name}' already exists`);
      else set(timers, name, host.now());
    },

    timeLog(label = "default", ...rest) {
      elapsed(String(label), rest);
    },

    timeEnd(label = "default") {
      elapsed(String(label), []);
      timers.delete(String(label));
    },

    clear() {
      indent = "";
    },
    timeStamp() {},
    profile() {},
    profileEnd() {},
  };

  const console = Object.assign(Object.create({}), methods);
  Object.defineProperty(console, Symbol.toStringTag, { value: "console", configurable: true });
  web.console = console;
});
