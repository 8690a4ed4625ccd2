// Clients of the first Jeju Compute, built anew with ethers, against our node, gateway and contracts on a real chain.
//
//   node main.mjs CONTEXT.json [SUITE...]
//
// Without a chain everything fails: a suite that passes by not running shows nothing.
import { Checks } from './checks.mjs'
import { Context } from './context.mjs'
import vectors from './vectors.mjs'
import validate from './validate.mjs'
import integration from './integration.mjs'
import settlement from './settlement.mjs'
import x402 from './x402.mjs'
import vouchers from './vouchers.mjs'
import gateway from './gateway.mjs'

const SUITES = { vectors, validate, integration, settlement, x402, vouchers, gateway }

const [path, ...wanted] = process.argv.slice(2)
const context = new Context(path)
try {
  await context.connect()
} catch (error) {
  console.log(`compat: no chain: ${error.message}${error.cause ? `: ${error.cause.message ?? error.cause.code}` : ''}`)
  process.exit(2)
}
let passed = 0
const failed = []
for (const name of wanted.length ? wanted : Object.keys(SUITES)) {
  const checks = new Checks(name)
  await SUITES[name](context, { check: checks.check.bind(checks) }).catch((error) => checks.check('all of it', () => Promise.reject(error)))
  passed += checks.passed
  failed.push(...checks.failed.map((check) => `${name}: ${check}`))
}
for (const name of failed) console.log(`compat: failed: ${name}`)
console.log(`compat: ${passed} passed, ${failed.length} failed`)
process.exit(failed.length ? 1 : 0)
