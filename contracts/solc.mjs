#!/usr/bin/env node
// The compiler as forge expects it: `--version`, and `--standard-json` from stdin to stdout. The npm package `solc` is the
// only build of the compiler that a registry carries; its own command line (`solcjs`) answers differently from the native
// one. Sources come inside the JSON, so no import callback is needed and no file is read.
import { readFileSync } from 'node:fs'
import solc from 'solc'

if (process.argv.includes('--version')) {
  process.stdout.write(`solc, the solidity compiler commandline interface\nVersion: ${solc.version()}\n`)
} else if (process.argv.includes('--standard-json')) {
  process.stdout.write(solc.compile(readFileSync(0, 'utf8')))
} else {
  process.stderr.write('usage: solc.mjs --version | --standard-json\n')
  process.exit(2)
}
