// `console.table`.
(function (host, web) {
  "use strict";

  web.need("console-inspect");
  const inspect = web.consoleInspect;
  const ROWS = 1000;

  const line = (cells, widths) => `│${cells.map((cell, at) => ` ${cell}`.padEnd(widths[at])).join("│")}│`;

  const draw = (head, rows) => {
    const widths = head.map((cell, at) => Math.max(cell.length, ...rows.map((row) => row[at].length)) + 2);
    const rule = widths.map((width) => "─".repeat(width));
    const body = rows.map((row) => line(row, widths));
    return [
      `┌${rule.join("┬")}┐`,
      line(head, widths),
      `├${rule.join("┼")}┤`,
      ...body,
      `└${rule.join("┴")}┘`,
    ].join("\n");
  };

  const isObject = (value) => (typeof value === "object" || typeof value === "function") && value !== null;

  // Rows as pairs of what stands in the first column and the value.
  const entries = (data) => {
    if (data instanceof Map)
      return { index: "(iteration index)", pairs: [...data].map((pair, at) => [String(at), pair]) };
    if (data instanceof Set) {
      return { index: "(iteration index)", pairs: [...data].map((value, at) => [String(at), value]) };
    }
    return { index: "(index)", pairs: Object.keys(data).map((key) => [key, data[key]]) };
  };

  web.consoleTable = (data, columns) => {
    const { index, pairs } = entries(data);
    const rows = pairs.slice(0, ROWS);
    const map = data instanceof Map;
    const names = [];
    let values = false;
    for (const [, value] of map ? [] : rows) {
      if (!isObject(value)) values = true;
      else if (columns === undefined) {
        for (const name of Object.keys(value))
          if (!names.includes(name) && names.length < 100) names.push(name);
      }
    }
    if (map) {
      return draw(
        [index, "Key", "Values"],
        rows.map(([at, [key, value]]) => [at, inspect(key, 0), inspect(value, 0)]),
      );
    }
    if (columns !== undefined) names.push(...columns);
    const head = [index, ...names, ...(values ? ["Values"] : [])];
    return draw(
      head,
      rows.map(([key, value]) => [
        key,
        ...names.map((name) =>
          isObject(value) && Object.hasOwn(value, name) ? inspect(value[name], 0) : "",
        ),
        ...(values ? [isObject(value) ? "" : inspect(value, 0)] : []),
      ]),
    );
  };
});
