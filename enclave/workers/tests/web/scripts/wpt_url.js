// As url/resources' tables are run by WPT's url-constructor.any.js and url-setters.any.js. Each failure is a line.
const PARTS = [
  "href",
  "protocol",
  "username",
  "password",
  "host",
  "hostname",
  "port",
  "pathname",
  "search",
  "hash",
];

function constructorFailures(table) {
  const failures = [];
  let count = 0;
  for (const entry of table) {
    if (typeof entry === "string") continue;
    count++;
    const base = entry.base ?? undefined;
    const name = JSON.stringify([entry.input, entry.base]);
    let url = null;
    try {
      url = new URL(entry.input, base);
    } catch (error) {
      if (!(error instanceof TypeError)) failures.push(`${name}: ${error}`);
    }
    if (URL.canParse(entry.input, base) !== (url !== null)) failures.push(`${name}: canParse`);
    if (entry.failure || url === null) {
      if ((url === null) !== Boolean(entry.failure)) failures.push(`${name}: ${url ? url.href : "failure"}`);
      continue;
    }
    const wrong = PARTS.filter((part) => url[part] !== entry[part]);
    if ("origin" in entry && url.origin !== entry.origin) wrong.push("origin");
    if ("searchParams" in entry && url.searchParams.toString() !== entry.searchParams)
      wrong.push("searchParams");
    if (wrong.length > 0) failures.push(`${name}: ${wrong.map((part) => `${part} ${url[part]}`)}`);
  }
  return { count, failures };
}

function setterFailures(tables) {
  const failures = [];
  let count = 0;
  for (const attribute of Object.keys(tables)) {
    if (attribute === "comment") continue;
    for (const entry of tables[attribute]) {
      count++;
      const url = new URL(entry.href);
      try {
        url[attribute] = entry.new_value;
      } catch (error) {
        failures.push(`${attribute} of ${entry.href}: ${error}`);
      }
      const wrong = Object.keys(entry.expected).filter((part) => url[part] !== entry.expected[part]);
      if (wrong.length > 0) {
        const name = `${attribute} of ${entry.href} to ${JSON.stringify(entry.new_value)}`;
        failures.push(`${name}: ${wrong.map((part) => `${part} ${url[part]}`)}`);
      }
    }
  }
  return { count, failures };
}
