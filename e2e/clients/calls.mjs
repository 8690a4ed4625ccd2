// What the Node.js clients' calls share: where they go, what they ask, and one line of JSON for each of them.
//
//     CLIENT.mjs TARGETS [NAME...]        TARGETS is a JSON list; of the calls, those with these names, or all
import assert from 'node:assert/strict'

export const EMBEDDED = 'embedded'
export const LLAMA_CPP = 'llama_cpp'
export const QUESTION = 'What is the capital of France?'
export const ASK_JSON = 'Describe Paris as a JSON object with the keys city and country.'
export const ASK_WEATHER = 'What is the weather in Paris?'
export const DIMENSIONS = 576

const calls = []

/** A call of the matrix: a function of a client and a target, for one backend or for all. */
export function call(name, make, backend) {
  calls.push({ name, make, backend })
}

/** Makes all calls to all targets; the exit says whether they passed. */
export async function run(clientOf) {
  const [targets, ...names] = process.argv.slice(2)
  for (const target of JSON.parse(targets)) {
    const client = clientOf(target)
    for (const { name, make, backend } of calls) {
      if ((backend && backend !== target.backend) || (names.length && !names.includes(name))) continue
      const started = performance.now()
      const error = await make(client, target).then(() => null, (error) => error?.stack ?? `${error}`)
      if (error) process.exitCode = 1
      const seconds = Math.round((performance.now() - started) / 10) / 100
      console.log(JSON.stringify({ target: target.name, call: name, error, seconds }))
    }
  }
}

export function isUnit(vector) {
  assert.equal(vector.length, DIMENSIONS)
  assert(Math.abs(Math.hypot(...vector) - 1) < 1e-3)
}

/** An object, or the beginning of one where tokens ran out. */
export function isJson(text, finish) {
  if (finish === 'stop') assert.equal(typeof JSON.parse(text), 'object')
  else assert(finish === 'length' && text.trimStart().startsWith('{'), `${finish}: ${text}`)
}
