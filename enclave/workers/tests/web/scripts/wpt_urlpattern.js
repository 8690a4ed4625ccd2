// As urlpattern/resources/urlpatterntestdata.json is run by WPT's urlpattern.js. Each failure is a line.
const PARTS = ["protocol", "username", "password", "hostname", "port", "pathname", "search", "hash"];
const EARLIER = {
  protocol: [],
  hostname: ["protocol"],
  port: ["protocol", "hostname"],
  username: [],
  password: [],
  pathname: ["protocol", "hostname", "port"],
  search: ["protocol", "hostname", "port", "pathname"],
  hash: ["protocol", "hostname", "port", "pathname", "search"],
};

function expectedText(entry, part) {
  const given = entry.expected_obj?.[part];
  if (given !== undefined) return given;
  const [first, second] = entry.pattern;
  const isObject = first !== null && typeof first === "object";
  let base = null;
  if (isObject && first.baseURL) base = new URL(first.baseURL);
  else if (typeof second === "string") base = new URL(second);
  if (entry.exactly_empty_components?.includes(part)) return "";
  if (isObject && first[part]) return first[part];
  if (isObject && EARLIER[part].some((earlier) => earlier in first)) return "*";
  if (!base || part === "username" || part === "password") return "*";
  if (part === "protocol") return base.protocol.slice(0, -1);
  return part === "search" || part === "hash" ? base[part].slice(1) : base[part];
}

const sorted = (value) =>
  JSON.stringify(value, (_, member) => {
    if (member === undefined) return { undefined: true };
    if (member === null || typeof member !== "object" || Array.isArray(member)) return member;
    return Object.fromEntries(
      Object.keys(member)
        .sort()
        .map((key) => [key, member[key]]),
    );
  });

function throwsTypeError(f) {
  try {
    f();
  } catch (error) {
    return error instanceof TypeError;
  }
  return false;
}

function problem(entry) {
  if (entry.expected_obj === "error")
    return throwsTypeError(() => new URLPattern(...entry.pattern)) ? null : "no error";
  const pattern = new URLPattern(...entry.pattern);
  for (const part of PARTS) {
    const expected = expectedText(entry, part);
    if (pattern[part] !== expected) return `${part} is ${pattern[part]}, not ${expected}`;
  }
  const inputs = entry.inputs ?? [];
  if (entry.expected_match === "error") {
    const throws =
      throwsTypeError(() => pattern.test(...inputs)) && throwsTypeError(() => pattern.exec(...inputs));
    return throws ? null : "no error of a match";
  }
  if (pattern.test(...inputs) !== Boolean(entry.expected_match)) return "test";
  const result = pattern.exec(...inputs);
  if (!entry.expected_match) return result === null ? null : "exec";
  if (sorted(result.inputs) !== sorted(entry.expected_match.inputs ?? inputs)) return "inputs";
  for (const part of PARTS) {
    let expected = entry.expected_match[part];
    if (!expected) {
      expected = { input: "", groups: entry.exactly_empty_components?.includes(part) ? {} : { 0: "" } };
    }
    const groups = Object.entries(expected.groups).map(([key, value]) => [key, value ?? undefined]);
    expected = { input: expected.input, groups: Object.fromEntries(groups) };
    if (sorted(result[part]) !== sorted(expected)) return `${part} matches ${sorted(result[part])}`;
  }
  return null;
}

function patternFailures(table) {
  const failures = [];
  for (const entry of table) {
    let found;
    try {
      found = problem(entry);
    } catch (error) {
      found = `${error}`;
    }
    if (found !== null) failures.push(`${JSON.stringify([entry.pattern, entry.inputs])}: ${found}`);
  }
  return { count: table.length, failures };
}
