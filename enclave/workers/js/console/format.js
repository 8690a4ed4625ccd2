// What `console.log` makes of its arguments: substitutions, then everything one after another.
(function (host, web) {
  "use strict";

  web.need("console-inspect");
  const inspect = web.consoleInspect;
  const { number, native } = web.consoleTexts;

  // An object whose class, one of the worker's, says how it reads as text.
  const ownText = (value) => {
    let object = value;
    for (let steps = 0; object !== null && steps < 100; steps++) {
      if (Object.hasOwn(object, "toString")) return object === value || !native.has(object.constructor);
      object = Object.getPrototypeOf(object);
    }
    return false;
  };

  const asText = (value) => {
    if (typeof value === "number") return number(value);
    if (typeof value === "bigint") return `${value}n`;
    if (typeof value === "function") return inspect(value, 0);
    if (typeof value !== "object" || value === null) return String(value);
    try {
      if (ownText(value)) return String(value);
    } catch {
      // As any other object.
    }
    return inspect(value, 0);
  };

  const asNumber = (value, convert) => {
    if (typeof value === "bigint") return `${value}n`;
    if (typeof value === "symbol") return "NaN";
    return number(convert(value));
  };

  const asJson = (value) => {
    try {
      return String(JSON.stringify(value));
    } catch {
      return "[Circular]";
    }
  };

  const substitute = (kind, value) => {
    switch (kind) {
      case "s":
        return asText(value);
      case "d":
        return asNumber(value, (given) => (typeof given === "object" ? NaN : Number(given)));
      case "i":
        return asNumber(value, (given) => (typeof given === "object" ? NaN : parseInt(given, 10)));
      case "f":
        return typeof value === "symbol" ? "NaN" : number(parseFloat(value));
      case "j":
        return asJson(value);
      case "o":
        return inspect(value, 4);
      case "O":
        return inspect(value);
      default:
        return "";
    }
  };

  web.consoleFormat = (given) => {
    const [first, ...rest] = given;
    if (given.length === 0) return "";
    let text = typeof first === "string" ? first : inspect(first);
    if (typeof first === "string" && rest.length > 0 && first.includes("%")) {
      text = first.replace(/%([sdifjoOc%])/g, (whole, kind) => {
        if (kind === "%") return "%";
        return rest.length === 0 ? whole : substitute(kind, rest.shift());
      });
    }
    for (const value of rest) text += ` ${typeof value === "string" ? value : inspect(value)}`;
    return text;
  };
});
