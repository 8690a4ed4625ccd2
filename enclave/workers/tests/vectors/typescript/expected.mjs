// What TypeScript's own compiler makes of the files beside it, run by Node.js. Writes expected.json.
// npm install --no-save typescript@5.9.3 && node expected.mjs
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import ts from "typescript";

const expected = {};
for (const name of readdirSync(".").filter((name) => name.endsWith(".ts"))) {
  const options = { target: "esnext", module: "esnext", isolatedModules: true };
  const { outputText } = ts.transpileModule(readFileSync(name, "utf8"), { compilerOptions: options });
  const module = await import(`data:text/javascript,${encodeURIComponent(outputText)}`);
  expected[name] = JSON.parse(JSON.stringify(module.default));
}
writeFileSync("expected.json", JSON.stringify(expected, null, 1) + "\n");
