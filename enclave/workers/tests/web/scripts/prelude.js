// What the other scripts test with: small enough to run in any engine.
const tests = [];
const test = (name, run) => tests.push([name, run]);

const show = (value) => {
  if (typeof value === "string") return JSON.stringify(value);
  if (value instanceof Error) return `${value.name}: ${value.message}`;
  if (ArrayBuffer.isView(value))
    return `${value.constructor.name}[${[...new Uint8Array(value.buffer, value.byteOffset, value.byteLength)]}]`;
  if (Array.isArray(value)) return `[${value.map(show).join(", ")}]`;
  if (value !== null && typeof value === "object" && Object.getPrototypeOf(value) === Object.prototype) {
    return `{${Object.keys(value)
      .map((key) => `${key}: ${show(value[key])}`)
      .join(", ")}}`;
  }
  return Object.is(value, -0) ? "-0" : String(value);
};

const equal = (actual, expected, what = "") => {
  if (show(actual) !== show(expected)) throw new Error(`${what} ${show(actual)}, not ${show(expected)}`);
};
const ok = (value, what = "not true") => {
  if (!value) throw new Error(what);
};
const isError = (error, kind) =>
  typeof kind === "string" ? error instanceof DOMException && error.name === kind : error instanceof kind;
const throws = (kind, run) => {
  try {
    run();
  } catch (error) {
    if (!isError(error, kind)) throw new Error(`threw ${error}, not ${kind.name ?? kind}`);
    return error;
  }
  throw new Error(`did not throw ${kind.name ?? kind}`);
};
const rejects = async (kind, promise) => {
  try {
    await promise;
  } catch (error) {
    if (!isError(error, kind)) throw new Error(`rejected with ${error}, not ${kind.name ?? kind}`);
    return error;
  }
  throw new Error(`did not reject with ${kind.name ?? kind}`);
};
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const bytesOf = (text) => new TextEncoder().encode(text);

const runTests = async () => {
  const failures = [];
  for (const [name, run] of tests) {
    try {
      await run();
    } catch (error) {
      failures.push(`${name}: ${error?.stack ? `${error}\n${error.stack}` : error}`);
    }
  }
  return JSON.stringify({ count: tests.length, failures });
};
