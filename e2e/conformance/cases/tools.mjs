// A value as text that is the same in every engine that gives the same value.
export function show(value, depth = 0) {
  if (depth > 5) return "…";
  const inner = (each) => show(each, depth + 1);
  if (typeof value === "string") return JSON.stringify(value);
  if (typeof value === "bigint") return `${value}n`;
  if (typeof value === "symbol" || typeof value === "function") return typeof value;
  if (Object.is(value, -0)) return "-0";
  if (value === null || typeof value !== "object") return String(value);
  if (Array.isArray(value)) return `[${Array.from(value, inner).join(", ")}]`;
  if (ArrayBuffer.isView(value)) return `${value.constructor.name}(${new Uint8Array(value.buffer, value.byteOffset, value.byteLength)})`;
  if (value instanceof ArrayBuffer) return `ArrayBuffer(${new Uint8Array(value)})`;
  if (value instanceof Error) return `${value.name}${value instanceof DOMException ? " (DOMException)" : ""}`;
  if (value instanceof Date) return `Date(${+value})`;
  if (value instanceof Map) return `Map(${inner([...value])})`;
  if (value instanceof Set) return `Set(${inner([...value])})`;
  return `{${Object.keys(value).map((key) => `${key}: ${inner(value[key])}`).join(", ")}}`;
}

// What a call throws, or a promise is rejected with, by name; "nothing" if it goes well.
export async function thrown(call) {
  try {
    await call();
    return "nothing";
  } catch (error) {
    return show(error);
  }
}

export async function readAll(stream) {
  const parts = [];
  for await (const part of stream) parts.push(part);
  return parts;
}

export const text = (bytes) => new TextDecoder().decode(bytes);
export const bytes = (string) => new TextEncoder().encode(string);
export const later = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

// However slow the machine is.
export async function until(condition) {
  while (!condition()) await later(1);
}
