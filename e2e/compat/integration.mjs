// All of the market once, as the first clients' integration test goes through it: a provider with stake and prices, a user with
// money, an answer, and its payment, which that test left out.
import assert from 'node:assert/strict'
import { parseEther } from 'ethers'
import { chat, request } from './context.mjs'
import { PRICES, cost, fund, nameSigner, offer, register, seen } from './market.mjs'
import { nodeHeaders } from './seed.mjs'

const FUNDED = parseEther('0.5')

export default async function integration(context, { check }) {
  const node = context.nodes.open
  const [provider, , user] = context.wallets
  const registry = context.contract('computeRegistry', provider)
  const serving = context.contract('inferenceServing', provider)
  const ledger = context.contract('ledgerManager', user)

  for (const name of ['computeRegistry', 'ledgerManager', 'inferenceServing']) {
    await check(`${name} is there`, async () => assert.match(await context.contract(name).version(), /^\d+\.\d+\.\d+$/))
  }

  await check('a provider registers with stake', async () => {
    await register(context, node, provider)
    assert.equal(await registry.isActive(provider.address), true)
    assert((await registry.getActiveProviders()).includes(provider.address))
  })

  await check('a provider adds a model', async () => {
    const { length } = await registry.getCapabilities(provider.address)
    await context.send(registry.addCapability(node.model, PRICES.input, PRICES.output, 4096))
    const capability = (await registry.getCapabilities(provider.address)).at(-1)
    assert.equal((await registry.getCapabilities(provider.address)).length, length + 1)
    assert.deepEqual(
      [capability.model, capability.pricePerInputToken, capability.pricePerOutputToken, capability.maxContextLength, capability.active],
      [node.model, PRICES.input, PRICES.output, 4096n, true],
    )
  })

  await check("a provider's record is read as ever", async () => {
    const record = await registry.getProvider(provider.address)
    assert.deepEqual([record.owner, record.name, record.endpoint, record.active], [provider.address, 'Test Provider', node.url, true])
    assert(record.stake >= (await registry.minProviderStake()) && record.registeredAt > 0n && record.agentId === 0n)
  })

  await check('a provider puts a service on offer', async () => {
    await offer(context, node, provider)
    const [service] = await serving.getActiveServices(provider.address)
    assert.deepEqual(
      [service.provider, service.model, service.pricePerInputToken, service.pricePerOutputToken, service.active],
      [provider.address, node.model, PRICES.input, PRICES.output, true],
    )
    await nameSigner(context, node, provider)
  })

  await check('a user deposits, sets money aside and is acknowledged', async () => {
    const before = await ledger.getLedger(user.address)
    const aside = await ledger.getSubAccount(user.address, provider.address)
    await fund(context, user, provider, FUNDED)
    const after = await ledger.getLedger(user.address)
    assert.equal(after.totalBalance - before.totalBalance, FUNDED + parseEther('0.1'))
    assert.equal(after.lockedBalance - before.lockedBalance, FUNDED)
    assert.equal(after.totalBalance, after.availableBalance + after.lockedBalance)
    const sub = await ledger.getSubAccount(user.address, provider.address)
    assert.equal(sub.balance - aside.balance, FUNDED)
    assert.equal(sub.acknowledged, true)
  })

  await check('the node is there, with the model', async () => {
    const health = await request(`${node.url}/health`)
    assert.equal(health.json.status, 'ok')
    const models = await request(`${node.url}/v1/models`)
    assert.equal(models.json.data[0].id, node.model)
  })

  await seen(context)
  const nonce = await serving.getNonce(user.address, provider.address)
  const answer = await check('a signed request is answered', async () => {
    const headers = await nodeHeaders(user, provider.address, { settlementNonce: nonce })
    const { status, json } = await chat(node, { messages: [{ role: 'user', content: 'What is 2+2?' }] }, headers)
    assert.equal(status, 200, JSON.stringify(json))
    assert(json.choices[0].message.content)
    return json
  })

  await check('its fee is what the contract calculates', async () => {
    const { prompt_tokens: input, completion_tokens: output } = answer.usage
    assert.equal(await serving.calculateFee(provider.address, input, output), cost(answer.usage))
    assert.equal(answer.payment.cost, `${cost(answer.usage)}`)
  })

  await check('the user settles, and the provider has earned', async () => {
    const { requestHash, inputTokens, outputTokens, nonce: signed, signature } = answer.settlement
    const before = await ledger.getSubAccount(user.address, provider.address)
    const owed = await ledger.owed(provider.address)
    const mine = context.contract('inferenceServing', user)
    await context.send(mine.settle(provider.address, requestHash, inputTokens, outputTokens, signed, signature))
    const fee = cost(answer.usage)
    const after = await ledger.getSubAccount(user.address, provider.address)
    assert.equal(before.balance - after.balance, fee)
    // Account 0 is the treasury, too.
    assert.equal((await ledger.owed(provider.address)) - owed, fee)
    assert.equal(await serving.getNonce(user.address, provider.address), nonce + 1n)
  })

  await check('the provider is paid out', async () => {
    const [before, owed] = [await context.chain.getBalance(provider.address), await ledger.owed(provider.address)]
    const receipt = await context.send(context.contract('ledgerManager', provider)['withdraw()']())
    assert.equal(await context.chain.getBalance(provider.address), before + owed - receipt.fee)
    assert.equal(await ledger.owed(provider.address), 0n)
  })
}
