// Checks of one suite after another, each on a line of its own. What fails doesn't end the run: the exit says how many did.
import { performance } from 'node:perf_hooks'

export class Checks {
  constructor(suite) {
    this.suite = suite
    this.passed = 0
    this.failed = []
  }

  /** Runs a check; returns what it returns, `undefined` where it failed. */
  async check(name, action) {
    const started = performance.now()
    try {
      const found = await action()
      this.passed++
      console.log(`compat: ${this.suite}: ${name}: ok, ${Math.round(performance.now() - started)} ms`)
      return found
    } catch (error) {
      this.failed.push(name)
      console.log(`compat: ${this.suite}: ${name}: FAILED, ${error.stack ?? error}`)
      return undefined
    }
  }
}

/** Waits until `condition` returns something; asks every fifth of a second. */
export async function until(what, condition, seconds = 15) {
  const deadline = Date.now() + seconds * 1000
  for (;;) {
    const found = await condition()
    if (found) return found
    if (Date.now() > deadline) throw new Error(`not within ${seconds} s: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 200))
  }
}
