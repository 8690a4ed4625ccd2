// Runs each recorded request through the WebAssembly module and compares the answer, byte for byte, with the native one.
//
//   node test.mjs MODULE CASES      CASES: lines of {"name", "request", "answer"}
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { createReadStream } from "node:fs";
import { Verifier } from "./verifier.mjs";

const [modulePath, casesPath] = process.argv.slice(2);
const module = await WebAssembly.compile(readFileSync(modulePath));
const imports = WebAssembly.Module.imports(module);
if (imports.length > 0) throw new Error(`module imports ${JSON.stringify(imports)}`);
const verifier = await Verifier.load(module);

let cases = 0;
const differing = [];
for await (const line of createInterface({ input: createReadStream(casesPath) })) {
  const { name, request, answer } = JSON.parse(line);
  cases += 1;
  const found = verifier.answer(request);
  if (found !== answer) differing.push(`${name}\n  native: ${answer}\n  wasm:   ${found}`);
}
const garbage = JSON.parse(verifier.answer("{"));
if (garbage.code !== "request_invalid") throw new Error(`garbage was answered with ${JSON.stringify(garbage)}`);
const noFile = verifier.verify({ evidence: new Uint8Array(), at: 0 });
if (noFile.code !== "input_empty") throw new Error(`no file was answered with ${JSON.stringify(noFile)}`);

if (differing.length > 0) {
  console.error(differing.join("\n"));
  process.exit(1);
}
// A run without cases would compare nothing.
if (cases < 100) throw new Error(`only ${cases} cases`);
console.log(`wasm: ${cases} verdicts are the native ones, byte for byte`);
