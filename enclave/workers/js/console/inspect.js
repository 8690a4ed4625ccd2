// Values as text, as Node's `util.inspect` shows them; bounded in depth, entries and length.
(function (host, web) {
  "use strict";

  web.need("console-texts");
  web.need("console-shapes");
  const { BREAK, primitive, className, tagOf } = web.consoleTexts;
  const { ITEMS, parts, properties, spent } = web.consoleShapes;
  // Characters of one text; what comes after that is left out.
  const BUDGET = 65536;

  // Many short items of an array, in columns.
  const columns = (out, value, state) => {
    const extra = value.length > ITEMS || out[out.length - 1]?.startsWith("... ") ? 1 : 0;
    const count = out.length - extra;
    const lengths = out.slice(0, count).map((text) => text.length);
    const longest = Math.max(...lengths) + 2;
    const total = lengths.reduce((sum, length) => sum + length + 2, 0);
    if (longest * 3 + state.indent >= BREAK || !(total / longest > 5 || longest - 2 <= 6)) return out;
    const biased = Math.max(longest - 3 - Math.sqrt(longest - total / out.length), 1);
    const wide = Math.min(
      Math.round(Math.sqrt(2.5 * biased * count) / biased),
      Math.floor((BREAK - state.indent) / longest),
      12,
      15,
    );
    if (wide <= 1) return out;
    const widths = [];
    for (let column = 0; column < wide; column++) {
      let width = 0;
      for (let at = column; at < count; at += wide) width = Math.max(width, lengths[at]);
      widths.push(width + 2);
    }
    const numbers = Array.prototype.every.call(
      value,
      (item) => typeof item === "number" || typeof item === "bigint",
    );
    const rows = [];
    for (let at = 0; at < count; at += wide) {
      const end = Math.min(at + wide, count);
      let row = "";
      for (let item = at; item < end - 1; item++) {
        const text = `${out[item]}, `;
        row += numbers ? text.padStart(widths[item - at]) : text.padEnd(widths[item - at]);
      }
      row += numbers ? out[end - 1].padStart(widths[end - 1 - at] - 2) : out[end - 1];
      rows.push(row);
    }
    return extra === 1 ? [...rows, out[count]] : rows;
  };

  // On one line if it is short and not deep, else each on its own.
  const joined = (out, shape, value, state, depth) => {
    const { open, close } = shape;
    const base = shape.base === "" ? "" : `${shape.base} `;
    const entries = out.length;
    let lines = out;
    if (shape.array && entries > 6) lines = columns(out, value, state);
    if (state.deepest - depth < 3 && entries === lines.length) {
      const start = lines.length + state.indent + open.length + shape.base.length + 10;
      let total = lines.length + start;
      for (const line of lines) total += line.length;
      if (total <= BREAK && !shape.base.includes("\n")) {
        const line = lines.join(", ");
        if (!line.includes("\n")) return `${base}${open} ${line} ${close}`;
      }
    }
    const indent = `\n${" ".repeat(state.indent)}`;
    return `${base}${open}${indent}  ${lines.join(`,${indent}  `)}${indent}${close}`;
  };

  const show = (value, state) => {
    if (value === null || (typeof value !== "object" && typeof value !== "function")) {
      const text = primitive(value, state);
      state.left -= text.length;
      return text;
    }
    if (state.path.includes(value)) {
      if (!state.circular.includes(value)) state.circular.push(value);
      return `[Circular *${state.circular.indexOf(value) + 1}]`;
    }
    if (spent(state)) return "...";
    const depth = state.path.length;
    const shape = parts(value, state);
    const empty = shape.keys.length === 0 && (shape.entries === undefined || shape.size === 0);
    if (depth > state.depth && !empty) {
      const name = className(value) ?? "Object: null prototype";
      const tag = tagOf(value, name);
      return Array.isArray(value) ? "[Array]" : `[${tag === "" || tag === name ? name : `${name} [${tag}]`}]`;
    }
    state.path.push(value);
    // How deep what was shown last went decides whether it fits on one line.
    if (!empty) state.deepest = depth;
    let out;
    try {
      out = shape.entries === undefined ? [] : shape.entries();
      properties(value, shape.keys, state, out);
    } finally {
      state.path.pop();
    }
    const circular = state.circular.indexOf(value);
    const reference = circular < 0 ? "" : `<ref *${circular + 1}> `;
    let text;
    if (out.length === 0) {
      text = shape.base !== "" ? shape.base : `${shape.open}${shape.close}`;
    } else {
      text = joined(out, shape, value, state, depth);
    }
    state.left -= 8;
    return reference + text;
  };

  web.consoleShow = show;
  web.consoleInspect = (value, depth = 2) => {
    const state = { depth, indent: 0, path: [], circular: [], deepest: 0, left: BUDGET };
    try {
      return show(value, state);
    } catch {
      return `[${typeof value} that can't be shown]`;
    }
  };
});
