// The settlement in an answer: what the first clients read there, what a user can do with it on chain, and who gets none.
import assert from 'node:assert/strict'
import { getBytes, recoverAddress, verifyTypedData } from 'ethers'
import { chat, events, request } from './context.mjs'
import { OTHER_PRICES, cost, domain, fund, nameSigner, provide, refused, seen } from './market.mjs'
import { until } from './checks.mjs'
import { nodeHeaders, requestHash, settlementInner } from './seed.mjs'

const TYPES = {
  Settlement: [
    { name: 'user', type: 'address' },
    { name: 'provider', type: 'address' },
    { name: 'service', type: 'uint256' },
    { name: 'requestHash', type: 'bytes32' },
    { name: 'inputTokens', type: 'uint256' },
    { name: 'outputTokens', type: 'uint256' },
    { name: 'nonce', type: 'uint256' },
  ],
}
const PANGRAM = 'The quick brown fox jumps over the lazy dog'
const prompt = (content = 'What is 2+2?') => ({ messages: [{ role: 'user', content }] })

export default async function settlement(context, { check }) {
  const { open, paid } = context.nodes
  const [provider, second, user, other] = context.wallets
  const serving = context.contract('inferenceServing', user)
  const ledger = context.contract('ledgerManager', user)
  await provide(context, open, provider)
  await provide(context, paid, second)
  await fund(context, user, provider)
  await fund(context, user, second)
  await seen(context)
  const nonce = (to = provider) => serving.getNonce(user.address, to.address)
  const ask = async (settlementNonce, body = prompt(), node = open, to = provider) =>
    chat(node, body, await nodeHeaders(user, to.address, { settlementNonce }))
  const settle = ({ provider: to, requestHash: hash, inputTokens, outputTokens, nonce: signed, signature }, from = serving) =>
    from.settle(to, hash, inputTokens, outputTokens, signed, signature)

  const first = await check('an answer that can be settled', async () => {
    const settlementNonce = await nonce()
    const { status, json } = await ask(settlementNonce)
    assert.equal(status, 200, JSON.stringify(json))
    const found = json.settlement
    assert(found, JSON.stringify(json))
    assert.equal(found.provider, provider.address)
    assert.equal(found.requestHash, requestHash(json))
    assert.deepEqual([found.inputTokens, found.outputTokens], [json.usage.prompt_tokens, json.usage.completion_tokens])
    assert.strictEqual(found.nonce, Number(settlementNonce))
    assert.match(found.signature, /^0x[0-9a-fA-F]{130}$/)
    assert.equal(json.payment.cost, `${cost(json.usage)}`)
    return json
  })

  await check("it is signed by the provider's signer, as typed data", async () => {
    const { provider: to, service, requestHash: hash, inputTokens, outputTokens, nonce: signed, signature } = first.settlement
    const signer = await serving.getSigner(provider.address)
    const digest = await serving.settlementDigest(user.address, to, service, hash, inputTokens, outputTokens, signed)
    assert.equal(recoverAddress(digest, signature), signer)
    const typed = { user: user.address, provider: to, service, requestHash: hash, inputTokens, outputTokens, nonce: signed }
    assert.equal(verifyTypedData(domain(context), TYPES, typed, signature), signer)
    assert.notEqual(signer, provider.address)
  })

  await check('nobody else and nothing else settles with it', async () => {
    const found = first.settlement
    await refused('UserNotAcknowledged', settle(found, context.contract('inferenceServing', other)))
    await refused('InvalidSignature', settle({ ...found, outputTokens: found.outputTokens + 1 }))
    await refused('InvalidSignature', settle({ ...found, inputTokens: 0 }))
    await refused('InvalidNonce', settle({ ...found, nonce: found.nonce + 1 }))
  })

  await check('it moves what it costs, and once', async () => {
    const [before, owed] = [await ledger.getSubAccount(user.address, provider.address), await ledger.owed(provider.address)]
    const receipt = await context.send(settle(first.settlement))
    const fee = cost(first.usage)
    const after = await ledger.getSubAccount(user.address, provider.address)
    assert.equal(before.balance - after.balance, fee)
    assert.equal((await ledger.owed(provider.address)) - owed, fee)
    const event = receipt.logs.map((log) => serving.interface.parseLog(log)).find((found) => found?.name === 'Settled')
    assert.deepEqual([event.args.user, event.args.provider, event.args.fee], [user.address, provider.address, fee])
    await refused('InvalidNonce', settle(first.settlement))
  })

  await check("the first contract's digest is good for nothing", async () => {
    const { requestHash: hash, inputTokens, outputTokens } = first.settlement
    const next = await nonce()
    const inner = settlementInner(user.address, provider.address, hash, inputTokens, outputTokens, next)
    const signature = await provider.signMessage(getBytes(inner))
    await refused('InvalidSignature', serving.settle(provider.address, hash, inputTokens, outputTokens, next, signature))
  })

  await check('one settlement for a nonce, however many ask at once', async () => {
    await seen(context)
    const settlementNonce = await nonce()
    const answers = await Promise.all(Array.from({ length: 4 }, (_, at) => ask(settlementNonce, prompt(`Number ${at}`))))
    for (const { status, json } of answers) assert.equal(status, 200, JSON.stringify(json))
    const settled = answers.filter(({ json }) => json.settlement)
    assert.equal(settled.length, 1)
    await context.send(settle(settled[0].json.settlement))
  })

  await check('a stream ends with its settlement', async () => {
    await seen(context)
    const { status, text } = await ask(await nonce(), { ...prompt(), stream: true, stream_options: { include_usage: true } })
    assert.equal(status, 200, text)
    const last = events(text).at(-1)
    assert(last.settlement && last.payment, JSON.stringify(last))
    assert.equal(last.settlement.requestHash, requestHash(last))
    assert.equal(last.payment.cost, `${cost(last.usage)}`)
    await context.send(settle(last.settlement))
  })

  await check('no settlement where the nonce is not the next one', async () => {
    await seen(context)
    for (const wrong of [(await nonce()) + 1n, (await nonce()) - 1n]) {
      const { status, json } = await ask(wrong)
      assert.equal(status, 200, JSON.stringify(json))
      assert.equal(json.settlement, undefined)
    }
  })

  await check('no settlement that the contract would refuse: the signer is not named', async () => {
    const mine = context.contract('inferenceServing', provider)
    await context.send(mine.setSigner(`0x${'0'.repeat(40)}`))
    await seen(context)
    await until('the node sees it', async () => {
      const { status, json } = await ask(await nonce())
      assert.equal(status, 200, JSON.stringify(json))
      return !json.settlement
    })
    await nameSigner(context, open, provider)
    await seen(context)
  })

  await check('nothing is signed for nobody', async () => {
    const settlementNonce = `${await nonce()}`
    const bare = { 'x-jeju-address': user.address, 'x-jeju-settlement-nonce': settlementNonce }
    const good = () => nodeHeaders(user, provider.address, { settlementNonce })
    const used = await good()
    assert.equal((await chat(open, prompt('Once.'), used)).status, 200)
    const cases = {
      'an address alone': bare,
      'no address': { 'x-jeju-settlement-nonce': settlementNonce },
      "another's signature": { ...(await good()), 'x-jeju-signature': (await nodeHeaders(other, provider.address))['x-jeju-signature'] },
      'another provider': await nodeHeaders(user, other.address, { settlementNonce }),
      'an old time': await nodeHeaders(user, provider.address, { settlementNonce, timestamp: Date.now() - 320_000 }),
      'a time to come': await nodeHeaders(user, provider.address, { settlementNonce, timestamp: Date.now() + 330_000 }),
      'a used nonce': used,
      'no signature at all': { ...(await good()), 'x-jeju-signature': '0x00' },
    }
    for (const [what, headers] of Object.entries(cases)) {
      const { status, json } = await chat(open, prompt(), headers)
      assert.equal(json.settlement, undefined, what)
      if (what !== 'no address') assert([400, 401, 402].includes(status) && json.error.message && json.error.code, `${what}: ${status} ${JSON.stringify(json)}`)
    }
  })

  await check('a model that is not the first service is settled by its own', async () => {
    const settlementNonce = await nonce(second)
    const { status, json } = await ask(settlementNonce, prompt(), paid, second)
    assert.equal(status, 200, JSON.stringify(json))
    const found = json.settlement
    assert.equal(found.service, 1)
    const owed = await ledger.owed(second.address)
    await refused('InvalidSignature', settle(found))
    await context.send(
      serving.settleService(found.provider, found.service, found.requestHash, found.inputTokens, found.outputTokens, found.nonce, found.signature),
    )
    const fee = cost(json.usage)
    assert.notEqual(fee, cost(json.usage, OTHER_PRICES))
    // Less the platform's part.
    assert.equal((await ledger.owed(second.address)) - owed, fee - (fee * 250n) / 10_000n)
  })

  await check("tokens are the model's own", async () => {
    // The phrase alone, and what it adds to a conversation.
    const { json: plain } = await request(`${open.url}/v1/completions`, {
      method: 'POST',
      body: { model: open.model, prompt: PANGRAM, max_tokens: 1 },
    })
    const { prompt_tokens: tokens } = plain.usage
    assert(tokens >= 8 && tokens <= 12, `${tokens}`)
    const of = async (content) => (await chat(open, { ...prompt(content), max_tokens: 1 })).json.usage.prompt_tokens
    assert.equal((await of(PANGRAM)) - (await of('')), tokens)
  })
}
