// Vouchers: a user promises after each answer what it took, and the provider submits the newest promise alone.
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { TypedDataEncoder, parseEther } from 'ethers'
import { chat, request } from './context.mjs'
import { domain, fund, provide, refused, seen } from './market.mjs'
import { until } from './checks.mjs'
import { nodeHeaders } from './seed.mjs'

const TYPES = {
  Voucher: [
    { name: 'user', type: 'address' },
    { name: 'provider', type: 'address' },
    { name: 'cumulative', type: 'uint256' },
    { name: 'sequence', type: 'uint64' },
    { name: 'requestDigest', type: 'bytes32' },
    { name: 'responseDigest', type: 'bytes32' },
    { name: 'expiry', type: 'uint64' },
  ],
}
const FUNDED = parseEther('0.01')
const prompt = (content = 'Say hello.') => ({ messages: [{ role: 'user', content }], max_tokens: 4 })
const inADay = () => Math.floor(Date.now() / 1000) + 86_400

export default async function vouchers(context, { check }) {
  const node = context.nodes.paid
  const [, provider, , , user, , stranger] = context.wallets
  const serving = context.contract('inferenceServing', stranger)
  const ledger = context.contract('ledgerManager', user)
  const here = domain(context)
  await provide(context, node, provider)
  await fund(context, user, provider, FUNDED)
  await seen(context)

  const ask = async (voucher, body = prompt()) =>
    chat(node, body, { ...(await nodeHeaders(user, provider.address)), ...(voucher ? { 'Jeju-Voucher': header(voucher) } : {}) })
  const session = async () => (await request(`${node.url}/v1/payments/session`, { headers: await nodeHeaders(user, provider.address) })).json
  const digest = (text) => `0x${createHash('sha256').update(text).digest('hex')}`
  let last = { request: `0x${'11'.repeat(32)}`, response: `0x${'22'.repeat(32)}` }
  const sign = async (cumulative, sequence, { wallet = user, expiry = inADay(), ...changes } = {}) => {
    const message = {
      user: user.address, provider: provider.address, cumulative, sequence, requestDigest: last.request, responseDigest: last.response, expiry, ...changes,
    }
    return { ...message, signature: await wallet.signTypedData(here, TYPES, message) }
  }
  const header = (voucher) =>
    `cumulative=${voucher.cumulative};sequence=${voucher.sequence};request=${voucher.requestDigest};response=${voucher.responseDigest};` +
    `expiry=${voucher.expiry};signature=${voucher.signature}`
  const post = (voucher) =>
    request(`${node.url}/v1/payments/vouchers`, {
      method: 'POST',
      body: {
        user: voucher.user, cumulative: `${voucher.cumulative}`, sequence: `${voucher.sequence}`, request: voucher.requestDigest,
        response: voucher.responseDigest, expiry: `${voucher.expiry}`, signature: voucher.signature,
      },
    })

  await check('a session begins with nothing owed', async () => {
    const found = await session()
    assert.deepEqual([found.user, found.provider], [user.address, provider.address])
    assert.deepEqual([found.owed, found.promised, found.paid], ['0', '0', '0'])
    assert.deepEqual([found.balance, found.credit], [`${FUNDED}`, `${context.credit}`])
    const { status } = await request(`${node.url}/v1/payments/session`)
    assert.equal(status, 401)
  })

  let owed = 0n
  await check('answers are on credit, as far as it goes', async () => {
    for (let answers = 0; ; answers++) {
      const { status, json, text } = await ask()
      if (status === 402) {
        assert.equal(json.code, 'payment_due')
        assert(answers > 1 && owed > BigInt(context.credit), `${answers} answers, ${owed} owed`)
        break
      }
      assert.equal(status, 200, text)
      owed += BigInt(json.payment.cost)
      assert.deepEqual([json.payment.owed, json.payment.promised], [`${owed}`, '0'])
      last = { ...last, response: digest(text) }
      assert(answers < 20, 'credit has no end')
    }
    assert.equal((await session()).owed, `${owed}`)
  })

  await check("what is signed is the contract's digest", async () => {
    const { signature, ...message } = await sign(owed, 1)
    assert.equal(TypedDataEncoder.hash(here, TYPES, message), await serving.voucherDigest(message))
    assert(signature)
  })

  const promise = await sign(owed, 5)
  await check('a voucher with the next request pays for the last ones', async () => {
    const { status, json } = await ask(promise)
    assert.equal(status, 200, JSON.stringify(json))
    owed += BigInt(json.payment.cost)
    assert.deepEqual([json.payment.owed, json.payment.promised], [`${owed}`, `${promise.cumulative}`])
    const { sequence, promised } = await session()
    assert.deepEqual([sequence, promised], ['5', `${promise.cumulative}`])
  })

  await check('a voucher that promises nothing new is refused, the same one again is not', async () => {
    const again = await post(promise)
    assert.equal(again.status, 200, again.text)
    for (const wrong of [await sign(promise.cumulative - 1n, 6), await sign(promise.cumulative + 1n, 5), await sign(promise.cumulative + 1n, 4)]) {
      const { status, json } = await post(wrong)
      assert.deepEqual([status, json.code ?? json.error.code], [402, 'voucher_not_cumulative'])
    }
  })

  await check("others' vouchers and others' contracts' are refused", async () => {
    const elsewhere = { ...here, verifyingContract: context.contracts.ledgerManager }
    const { signature, ...message } = await sign(owed, 6)
    const wrong = [
      await sign(owed, 6, { wallet: stranger }),
      { ...message, signature, cumulative: owed + 1n },
      { ...message, signature: await user.signTypedData(elsewhere, TYPES, message) },
      { ...message, signature: await user.signTypedData({ ...here, chainId: 1 }, TYPES, message) },
      await sign(owed, 6, { provider: stranger.address }),
    ]
    for (const voucher of wrong) {
      const { status, json } = await post(voucher)
      assert.deepEqual([status, json.code ?? json.error.code], [402, 'voucher_signature_invalid'])
    }
    const soon = await post(await sign(owed, 6, { expiry: Math.floor(Date.now() / 1000) + 3000 }))
    assert.deepEqual([soon.status, soon.json.code], [402, 'voucher_expiring'])
    const uncovered = await post(await sign(FUNDED + 1n, 6))
    assert.deepEqual([uncovered.status, uncovered.json.code], [402, 'voucher_uncovered'])
    for (const text of ['', 'cumulative=1', header(message).replace('sequence=6', 'sequence=-6')]) {
      const { status, json } = await chat(node, prompt(), { ...(await nodeHeaders(user, provider.address)), 'Jeju-Voucher': text })
      assert.deepEqual([status, json.error.code ?? json.code], [400, 'voucher_malformed'], text)
    }
  })

  const newest = await sign(owed, 7)
  await check('vouchers are shown to the provider alone', async () => {
    assert.equal((await post(newest)).status, 200)
    const at = `${node.url}/v1/payments/vouchers`
    assert.equal((await request(at)).status, 401)
    assert.equal((await request(at, { headers: await nodeHeaders(user, provider.address) })).status, 403)
    const { status, json } = await request(at, { headers: await nodeHeaders(provider, provider.address) })
    assert.equal(status, 200)
    const mine = json.vouchers.filter((voucher) => voucher.user === user.address)
    assert.equal(mine.length, 1)
    assert.deepEqual([mine[0].cumulative, mine[0].sequence, mine[0].signature], [`${owed}`, '7', newest.signature])
  })

  await check('anybody submits it, and it pays once', async () => {
    const { signature, ...message } = newest
    const before = await ledger.getSubAccount(user.address, provider.address)
    const earned = await ledger.owed(provider.address)
    await context.send(serving.settleVoucher(message, signature))
    const after = await ledger.getSubAccount(user.address, provider.address)
    assert.equal(before.balance - after.balance, owed)
    assert.equal((await ledger.owed(provider.address)) - earned, owed - (owed * 250n) / 10_000n)
    const { paid, sequence } = await serving.sessionOf(user.address, provider.address)
    assert.deepEqual([paid, sequence], [owed, 7n])
    await refused('NothingDue', serving.settleVoucher(message, signature))
    const { signature: older, ...old } = promise
    await refused('VoucherSuperseded', serving.settleVoucher(old, older))
    await seen(context)
    await until('the node knows', async () => (await session()).paid === `${owed}`)
    const { json } = await request(`${node.url}/v1/payments/vouchers`, { headers: await nodeHeaders(provider, provider.address) })
    assert(!json.vouchers.some((voucher) => voucher.user === user.address))
  })

  await check('what is taken back is not lent on', async () => {
    const { balance } = await ledger.getSubAccount(user.address, provider.address)
    await context.send(ledger.requestRefund(provider.address, balance))
    await seen(context)
    await until('the node refuses', async () => {
      const { status, json } = await ask()
      return status === 402 && json.code === 'payment_insufficient'
    })
    await context.send(ledger.cancelRefund(provider.address))
    await seen(context)
    // What it gave until it saw that is owed.
    assert.equal((await post(await sign(BigInt((await session()).owed), 8))).status, 200)
    await until('the node serves again', async () => (await ask()).status === 200)
  })
}
