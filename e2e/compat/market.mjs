// What stands on chain before a node can earn: its provider with stake, prices and the account that signs; and a user with money.
import assert from 'node:assert/strict'
import { Interface, id, parseEther } from 'ethers'
import { until } from './checks.mjs'
import { request } from './context.mjs'

/** Wei for a token. */
export const PRICES = { input: 1_000_000_000n, output: 2_000_000_000n }
/** What the other model of the second node costs. */
export const OTHER_PRICES = { input: 7n, output: 11n }

/** Registers `wallet` as a provider, where it isn't one. */
export async function register(context, node, wallet) {
  const registry = context.contract('computeRegistry', wallet)
  if (await registry.isActive(wallet.address)) return
  const value = await registry.minProviderStake()
  await context.send(registry.register('Test Provider', node.url, id('test-attestation'), { value }))
}

/** Puts a model on offer, where it isn't. */
export async function offer(context, node, wallet, model = node.model, prices = PRICES) {
  const serving = context.contract('inferenceServing', wallet)
  const services = await serving.getServices(wallet.address)
  if (services.some((service) => service.active && service.model === model)) return
  await context.send(serving.registerService(model, `${node.url}/v1`, prices.input, prices.output))
}

/** Names the node's own key as the one that signs the provider's settlements. */
export async function nameSigner(context, node, wallet) {
  const serving = context.contract('inferenceServing', wallet)
  const { json: report } = await request(`${node.url}/v1/attestation/report`)
  if ((await serving.getSigner(wallet.address)) === report.signingAddress) return
  await context.send(serving.setSigner(report.signingAddress))
}

/** A provider that can earn at a node. */
export async function provide(context, node, wallet) {
  await register(context, node, wallet)
  // `settle` of the first clients pays the first service, whatever was asked for: that of the second node is another model's.
  if (node === context.nodes.paid) await offer(context, node, wallet, 'other-model', OTHER_PRICES)
  await offer(context, node, wallet)
  await nameSigner(context, node, wallet)
}

/** A user with `amount` set aside for a provider, who has acknowledged it. */
export async function fund(context, user, provider, amount = parseEther('0.5')) {
  const ledger = context.contract('ledgerManager', user)
  const value = amount + parseEther('0.1')
  await context.send((await ledger.ledgerExists(user.address)) ? ledger.deposit({ value }) : ledger.createLedger({ value }))
  await context.send(ledger.transferToProvider(provider.address, amount))
  const { acknowledged } = await ledger.getSubAccount(user.address, provider.address)
  if (!acknowledged) await context.send(context.contract('ledgerManager', provider).acknowledgeUser(user.address))
}

/** Of what is signed for the contract that settles (EIP-712). */
export const domain = (context) => ({
  name: 'Jeju InferenceServing',
  version: '1',
  chainId: context.chainId,
  verifyingContract: context.contracts.inferenceServing,
})

export const cost = (usage, prices = PRICES) =>
  BigInt(usage.prompt_tokens) * prices.input + BigInt(usage.completion_tokens) * prices.output

/** Waits until the node reads a block in which what was just sent stands. */
export async function seen(context) {
  const sent = await context.chain.getBlockNumber()
  await until('the blocks are final', async () => (await context.chain.getBlock('finalized')).number >= sent)
}

const ERRORS = new Interface([
  'error InvalidSignature()',
  'error InvalidNonce(uint256 expected, uint256 provided)',
  'error UserNotAcknowledged()',
  'error NothingDue(uint256 cumulative, uint256 paid, uint256 available)',
  'error VoucherSuperseded(uint64 sequence, uint64 latest)',
])

/** A transaction that the contract refuses, with the name of its error. */
export async function refused(name, transaction) {
  await assert.rejects(transaction, (error) => {
    assert.equal(error.data && ERRORS.parseError(error.data)?.name, name, error.message)
    return true
  })
}
