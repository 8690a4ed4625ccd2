// Signatures and hashes of the first clients, as ethers makes them, against the numbers that were recorded of them.
import assert from 'node:assert/strict'
import { getBytes, hashMessage, keccak256, toUtf8Bytes, verifyMessage } from 'ethers'
import { gatewayHeaders, nodeHeaders, paymentHeader, requestHash, settlementInner } from './seed.mjs'

const NONCE = '11111111-2222-4333-8444-555555555555'
const TIMESTAMP = 1_700_000_000_000
const AT = { nonce: NONCE, timestamp: TIMESTAMP }
const HASH = '0x0ff9989f033967bc9583985c70ce4f30533dd9b51ca476e326de15da5cad8abc'
const INNER = '0xb943e992e7c3a7b2be0d5f96a0dba0a6d10325753f7b6c403336e868fc658889'

export default async function vectors(context, { check }) {
  const [provider, user] = context.wallets

  await check("a node's headers", async () => {
    const headers = await nodeHeaders(user, provider.address, AT)
    assert.equal(
      headers['x-jeju-signature'],
      '0x3abde9d2cb9c88ccbc834ba1d509c1e9c8b841d45aa4dce87184902382c1892030fc7ebbb88e4f1cd4f1fd05cb1e3a3bdecb254815174e334d20416204b60f201b',
    )
    assert.equal(headers['x-jeju-address'], '0x70997970C51812dc3A010C7d01b50e0d17dc79C8')
  })

  await check("a gateway's headers", async () => {
    const headers = await gatewayHeaders(user, AT)
    assert.equal(
      headers['x-jeju-signature'],
      '0xdba90e523305365aa89dbbfa79608cf24b0ff3f4e15887e2a2fc90318488286f269039f8a5fb867fe139ab55f22beac6376a1fcc5f7f13ea3ea2d30db704fca61b',
    )
  })

  await check('the hash that a settlement is about', () => {
    assert.equal(requestHash({ id: 'chatcmpl-1700000000000', model: 'test-model' }), HASH)
  })

  await check("the first contract's digest and the provider's signature", async () => {
    const inner = settlementInner(user.address, provider.address, HASH, 10, 20, 0)
    assert.equal(inner, INNER)
    assert.equal(hashMessage(getBytes(inner)), '0x5030f0a5375721e78802065ad780b5b5b785e4fbb9d17fbae2dc4cc1a21e74ed')
    assert.equal(
      await provider.signMessage(getBytes(inner)),
      '0x48dcb6078815a8ab71b3ce042b4661552a282c9bb511b0b91aef5791746ef29750267dfe1c759188a9ec8a709a4340c2ca178167a9073023c9e1bb6d7a03bf921b',
    )
  })

  await check('a payment header', async () => {
    const header = await paymentHeader(user, provider.address, 1000)
    const payload = '0x6eb33a568642dbbe3ed3f074cd5f98437b236cbd0b90c4a0e47c80c8fea73f3831d277dcc0d7175c63960ea07a2931c506c393e02e030ad8bbae74c976fa9e0b1c'
    assert.equal(header, `scheme=exact;network=jeju;payload=${payload};asset=0x${'0'.repeat(40)};amount=1000`)
    assert.equal(verifyMessage(`x402:jeju:${provider.address}:1000`, payload), user.address)
  })

  await check("a worker's hash", () => {
    const code = 'export default { fetch(request) { return new Response("Hello from Jeju!"); } }'
    assert.equal(keccak256(toUtf8Bytes(code)), '0x8f0d818f1b899642927347e5f26e331d3fd2b21e022817cc2ddeb39421b179b2')
  })
}
