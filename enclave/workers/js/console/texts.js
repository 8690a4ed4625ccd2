// Texts of values that aren't made of others: primitives, functions, errors.
(function (host, web) {
  "use strict";

  const STRING = 10000;
  const BREAK = 80;
  const { getPrototypeOf, getOwnPropertyDescriptor } = Object;
  const FUNCTIONS = new Set(["AsyncFunction", "GeneratorFunction", "AsyncGeneratorFunction"]);
  // Constructors that the engine brings: functions to Node, where a class of the worker is a class.
  const NATIVE = new Set();
  for (const name of Object.getOwnPropertyNames(globalThis)) {
    const { value } = getOwnPropertyDescriptor(globalThis, name);
    if (typeof value === "function") NATIVE.add(value);
  }

  const ESCAPES = { "\b": "\\b", "\t": "\\t", "\n": "\\n", "\f": "\\f", "\r": "\\r", "\\": "\\\\" };
  const escaped = (text, quote) => {
    let out = quote;
    for (const character of text) {
      const code = character.codePointAt(0);
      if (character === quote) out += "\\" + quote;
      else if (ESCAPES[character] !== undefined) out += ESCAPES[character];
      else if (code < 0x20 || (code >= 0x7f && code < 0xa0)) {
        out += "\\x" + code.toString(16).toUpperCase().padStart(2, "0");
      } else if (code >= 0xd800 && code <= 0xdfff) out += "\\u" + code.toString(16);
      else out += character;
    }
    return out + quote;
  };

  // In the quotes that need the fewest escapes.
  const quoted = (text) => {
    if (!text.includes("'")) return escaped(text, "'");
    if (!text.includes('"')) return escaped(text, '"');
    if (!text.includes("`") && !text.includes("${")) return escaped(text, "`");
    return escaped(text, "'");
  };

  const number = (value) => (Object.is(value, -0) ? "-0" : String(value));
  const plural = (count, what) => `${count} more ${what}${count > 1 ? "s" : ""}`;

  const string = (value, state) => {
    let text = value;
    let more = "";
    if (text.length > STRING) {
      more = `... ${plural(text.length - STRING, "character")}`;
      text = text.slice(0, STRING);
    }
    if (text.length > 16 && text.length > BREAK - state.indent - 4 && text.includes("\n")) {
      const lines = text.split(/(?<=\n)/).map(quoted);
      return lines.join(` +\n${" ".repeat(state.indent + 2)}`) + more;
    }
    return quoted(text) + more;
  };

  const primitive = (value, state) => {
    switch (typeof value) {
      case "string":
        return string(value, state);
      case "number":
        return number(value);
      case "bigint":
        return `${value}n`;
      case "symbol":
        return Symbol.prototype.toString.call(value);
      default:
        return String(value);
    }
  };

  // The name of the class that made it; null if it has no prototype.
  const className = (value) => {
    let object = value;
    for (let steps = 0; object !== null && steps < 100; steps++) {
      const constructor = getOwnPropertyDescriptor(object, "constructor")?.value;
      if (
        typeof constructor === "function" &&
        typeof constructor.name === "string" &&
        constructor.name !== ""
      ) {
        return constructor.name;
      }
      object = getPrototypeOf(object);
    }
    return null;
  };

  // The string tag, where it says more than the name and isn't listed with the properties.
  const tagOf = (value, name) => {
    let tag;
    try {
      if (getOwnPropertyDescriptor(value, Symbol.toStringTag)?.enumerable) return "";
      tag = value[Symbol.toStringTag];
    } catch {
      return "";
    }
    return typeof tag === "string" && tag !== "" && tag !== name ? tag : "";
  };

  const prefix = (name, tag, fallback, size = "") => {
    const shown = name === null ? `[${fallback}${size}: null prototype] ` : `${name}${size} `;
    return tag === "" ? shown : `${shown}[${tag}] `;
  };

  const functionText = (value, name) => {
    const descriptor = getOwnPropertyDescriptor(value, "prototype");
    const own = typeof value.name === "string" ? value.name : "";
    if (descriptor !== undefined && descriptor.writable === false && !NATIVE.has(value)) {
      const parent = getPrototypeOf(value);
      const from = typeof parent === "function" && parent.name !== "" ? ` extends ${parent.name}` : "";
      return `[class ${own === "" ? "(anonymous)" : own}${from}]`;
    }
    const kind = name !== null && FUNCTIONS.has(name) ? name : "Function";
    const text = own === "" ? `[${kind} (anonymous)]` : `[${kind}: ${own}]`;
    return name === null ? `${text} [null prototype]` : text;
  };

  // What the engine tells about a call: lines of the worker, without those of the engine's own parts.
  const frames = (stack) =>
    stack
      .split("\n")
      .filter((line) => line.trim() !== "" && !line.includes("(jeju:"))
      .join("\n");

  const errorText = (value, name, state) => {
    const read = (key) => {
      try {
        return value[key];
      } catch {
        return undefined;
      }
    };
    const given = read("name");
    const message = read("message");
    let head = typeof given === "string" && given !== "" ? given : (name ?? "Error");
    if (head === "Error" && name !== null && name !== "Error" && name !== "Object") head = name;
    if (typeof message === "string" && message !== "") head += `: ${message}`;
    const stack = read("stack");
    const lines =
      typeof stack === "string" ? frames(stack.startsWith(head) ? stack.slice(head.length) : stack) : "";
    if (lines === "") return `[${head}]`;
    return `${head}\n${lines}`.replaceAll("\n", `\n${" ".repeat(state.indent)}`);
  };

  web.consoleTexts = {
    BREAK,
    quoted,
    number,
    plural,
    primitive,
    className,
    tagOf,
    prefix,
    functionText,
    frames,
    errorText,
    native: NATIVE,
  };
});
