// Payment required: what a node asks for in the first clients' form of x402, and what it takes.
import assert from 'node:assert/strict'
import { parseEther } from 'ethers'
import { chat, request } from './context.mjs'
import { PRICES, cost, fund, provide, seen } from './market.mjs'
import { estimate, nodeHeaders, paymentHeader } from './seed.mjs'

const NOTHING = `0x${'0'.repeat(40)}`
const MAX_TOKENS = 4
const prompt = (content = 'Hello with payment') => ({ messages: [{ role: 'user', content }], max_tokens: MAX_TOKENS })

export default async function x402(context, { check }) {
  const node = context.nodes.paid
  const [, provider, , user, , stranger] = context.wallets
  await provide(context, node, provider)
  await seen(context)
  const needed = estimate(prompt().messages, PRICES, MAX_TOKENS)
  const ask = async (payment, { wallet = user, body = prompt() } = {}) =>
    chat(node, body, { ...(await nodeHeaders(wallet, provider.address)), ...(payment ? { 'X-Payment': payment } : {}) })
  const pays = (amount, network, changes) => paymentHeader(user, provider.address, amount, network, changes)

  /** What every 402 has, as clients of x402 read it. */
  const isRequired = ({ status, json }, code) => {
    assert.equal(status, 402, JSON.stringify(json))
    assert.equal(json.x402Version, 1)
    assert.equal(json.error, 'Payment required to access compute service')
    assert.equal(json.code, code)
    const exact = json.accepts.find(({ scheme }) => scheme === 'exact')
    const credit = json.accepts.find(({ scheme }) => scheme === 'credit')
    assert(exact && credit, JSON.stringify(json))
    for (const one of [exact, credit]) {
      assert.equal(one.payTo, provider.address)
      assert.equal(one.resource, '/v1/chat/completions')
      assert.equal(one.asset, NOTHING)
      assert(one.network && one.description)
      assert.match(one.maxAmountRequired, /^\d+$/)
    }
    return exact
  }

  await check('health, models and evidence cost nothing', async () => {
    for (const path of ['/health', '/v1/models', '/v1/hardware', '/v1/metrics', '/v1/attestation/report']) {
      assert.equal((await request(node.url + path)).status, 200, path)
    }
  })

  await check('who does not sign is asked for a payment', async () => {
    isRequired(await chat(node, prompt()), 'payment_required')
    isRequired(await chat(node, { ...prompt(), stream: true }), 'payment_required')
    for (const path of ['/v1/completions', '/v1/embeddings', '/v1/responses']) {
      const { status, json } = await request(node.url + path, { method: 'POST', body: { model: node.model, prompt: 'x', input: 'x' } })
      assert([400, 402].includes(status), `${path}: ${status} ${JSON.stringify(json)}`)
      if (status === 402) assert.equal(json.accepts[0].resource, path)
    }
  })

  await check('a payment of somebody who does not sign the request is none', async () => {
    const headers = { 'X-Payment': await pays(needed), 'x-jeju-address': user.address }
    isRequired(await chat(node, prompt(), headers), 'payment_required')
    isRequired(await chat(node, prompt(), { 'X-Payment': await pays(needed) }), 'payment_required')
  })

  await check('who has set nothing aside is told what is needed', async () => {
    const exact = isRequired(await ask(undefined, { wallet: stranger }), 'payment_insufficient')
    assert.equal(exact.maxAmountRequired, `${needed}`)
    const paying = await paymentHeader(stranger, provider.address, needed)
    isRequired(await ask(paying, { wallet: stranger }), 'payment_insufficient')
  })

  await fund(context, user, provider, parseEther('0.01'))
  await seen(context)

  await check('what is set aside is enough', async () => {
    const { status, json } = await ask()
    assert.equal(status, 200, JSON.stringify(json))
    assert.equal(json.payment.cost, `${cost(json.usage)}`)
  })

  const header = await pays(needed)
  await check('a payment of the amount needed passes', async () => {
    const { status, json } = await ask(header)
    assert.equal(status, 200, JSON.stringify(json))
    assert(json.choices.length === 1)
    // Charged is what the answer took, not what the header said.
    assert.equal(json.payment.cost, `${cost(json.usage)}`)
  })

  await check('it passes once', async () => isRequired(await ask(header), 'x402_used'))

  await check('another amount passes, on the other name of the network', async () => {
    const { status, json } = await ask(await pays(needed + 1n, 'localnet'))
    assert.equal(status, 200, JSON.stringify(json))
  })

  await check('less than the estimate does not pass', async () => {
    isRequired(await ask(await pays(needed - 1n)), 'x402_amount_low')
    isRequired(await ask(await pays(0n)), 'x402_amount_low')
    // A longer answer costs more than this one.
    const body = { ...prompt(), max_tokens: MAX_TOKENS + 10 }
    isRequired(await ask(await pays(needed + 2n), { body }), 'x402_amount_low')
  })

  await check('a payment for another network does not pass', async () => {
    for (const network of ['base', 'ethereum', 'sepolia', 'base-sepolia']) {
      isRequired(await ask(await pays(needed + 10n, network)), 'x402_network_wrong')
    }
  })

  await check("another's payment, or one to another provider, does not pass", async () => {
    isRequired(await ask(await paymentHeader(stranger, provider.address, needed + 10n)), 'x402_signature_invalid')
    isRequired(await ask(await paymentHeader(user, stranger.address, needed + 10n)), 'x402_signature_invalid')
    isRequired(await ask(await pays(needed + 10n, 'jeju', { amount: `${needed + 11n}` })), 'x402_signature_invalid')
  })

  await check('what is no payment does not pass', async () => {
    const wrong = [
      'invalid',
      'scheme=exact',
      'network=jeju;payload=0x123',
      await pays(needed, 'jeju', { scheme: 'credit' }),
      await pays(needed, 'jeju', { payload: undefined }),
      await pays(needed, 'jeju', { payload: '0x123abc' }),
      await pays(needed, 'jeju', { network: undefined }),
      await pays(needed, 'jeju', { amount: undefined }),
      await pays(needed, 'jeju', { amount: '-1' }),
      await pays(needed, 'jeju', { amount: '1e18' }),
      await pays(needed, 'jeju', { asset: '0x036CbD53842c5426634e7929541eC2318f3dCF7e' }),
    ]
    for (const payment of wrong) isRequired(await ask(payment), 'x402_malformed')
  })

  await check('nothing was charged for what was refused', async () => {
    const { status, json } = await ask()
    assert.equal(status, 200, JSON.stringify(json))
    // Three answers before this one; none was paid on chain yet.
    const owed = BigInt(json.payment.owed)
    const [least, most] = [1, MAX_TOKENS].map((output) => 4n * cost({ ...json.usage, completion_tokens: output }))
    assert(owed >= least && owed <= most, json.payment.owed)
  })

  await check('a model that is not served', async () => {
    const { status, json } = await ask(undefined, { body: { ...prompt(), model: 'no-such-model' } })
    assert.equal(status, 404, JSON.stringify(json))
  })
}
