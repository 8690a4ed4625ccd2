// The gateway's API as the first clients use it: what it says of the chain, and transactions that a renter's own wallet sends.
import assert from 'node:assert/strict'
import { createServer, connect } from 'node:net'
import { formatEther, parseEther } from 'ethers'
import { request } from './context.mjs'
import { PRICES, provide, seen } from './market.mjs'
import { until } from './checks.mjs'
import { gatewayHeaders, nodeHeaders } from './seed.mjs'

// The contract's order.
const STATES = ['PENDING', 'ACTIVE', 'PAUSED', 'COMPLETED', 'CANCELLED', 'EXPIRED', 'DISPUTED']
const HOURLY = parseEther('0.002')
const SSH_KEY = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGk2b0Zz8mSr0q3k0o5zB8rQp0m3mQn8m8mC0Kq4yq8D renter'
const IMAGE = 'docker.io/library/busybox:stable'
const SSH_VERSION = 'SSH-2.0-server\r\n'
const NOBODY = '0x1234567890123456789012345678901234567890'

export default async function gateway(context, { check }) {
  const { url } = context.gateway
  const [first, second, , , , , renter, stranger] = context.wallets
  const at = (path, options) => request(url + path, options)
  const signed = async (path, method, body, wallet = renter) => at(path, { method, body, headers: await gatewayHeaders(wallet) })
  const rental = context.contract('computeRental', renter)
  await provide(context, context.nodes.open, first)
  await provide(context, context.nodes.paid, second)
  const registry = context.contract('computeRegistry', second)
  if (!(await registry.getCapabilities(second.address)).length) {
    await context.send(registry.addCapability(context.nodes.paid.model, PRICES.input, PRICES.output, 4096))
  }
  await seen(context)

  const sent = ({ to, value, data }) => context.send(renter.sendTransaction({ to, value: BigInt(value), data }))

  await check('health', async () => {
    const { status, json } = await until('the gateway has read the chain', async () => {
      const answer = await at('/health')
      return answer.ok && answer
    })
    assert.equal(status, 200)
    assert.deepEqual([json.status, json.type, json.activeRoutes, json.activeSessions], ['ok', 'compute-gateway', 0, 0])
  })

  await check('information and statistics', async () => {
    const { json: info } = await at('/v1/gateway/info')
    assert(info.name && info.port > 0 && info.sshProxyPort > 0, JSON.stringify(info))
    assert.deepEqual([info.hasIdentityRegistry, info.hasReputationRegistry, info.agentId], [true, true, null])
    const { json: stats } = await at('/v1/stats')
    for (const name of ['totalProviders', 'activeRoutes', 'activeSessions', 'totalBytesIn', 'totalBytesOut']) {
      assert(Number.isInteger(stats[name]), `${name}: ${JSON.stringify(stats)}`)
    }
  })

  await check('providers', async () => {
    const found = await until('both are listed', async () => {
      const { json } = await at('/v1/providers')
      const ours = json.providers.filter(({ address }) => [first.address, second.address].includes(address))
      return ours.length === 2 && ours
    })
    for (const provider of found) {
      const { name, endpoint, stake, active } = await registry.getProvider(provider.address)
      assert.deepEqual([provider.name, provider.endpoint, provider.stake, provider.active], [name, endpoint, `${stake}`, active])
    }
  })

  await check('a provider', async () => {
    const { status, json } = await at(`/v1/providers/${second.address}`)
    assert.equal(status, 200)
    assert.equal(json.address, second.address)
    assert.deepEqual(Object.keys(json.reputation).sort().filter((name) => name !== 'ratingCount'), [
      'banned', 'completedRentals', 'failedRentals', 'rating', 'totalRentals',
    ])
    const missing = await at(`/v1/providers/${NOBODY}`)
    assert.deepEqual([missing.status, missing.json.error], [404, 'Provider not found'])
  })

  await check('models', async () => {
    const { json } = await until('the model is listed', async () => {
      const answer = await at('/v1/models')
      return answer.json.models.some(({ provider }) => provider === second.address) && answer
    })
    assert.equal(json.count, json.models.length)
    assert.equal(json.cloudEnabled, false)
    const model = json.models.find(({ provider }) => provider === second.address)
    assert.deepEqual([model.id, model.source, model.contextWindow], [context.nodes.paid.model, 'decentralized', 4096])
    assert.deepEqual(model.pricing, { input: `${PRICES.input}`, output: `${PRICES.output}` })
  })

  await check('reputation of those without any', async () => {
    const { json: user } = await at(`/v1/reputation/user/${stranger.address}`)
    assert.deepEqual(user, { banned: false, totalRentals: 0, completedRentals: 0, abuseReports: 0 })
    const { json: provider } = await at(`/v1/reputation/provider/${stranger.address}`)
    assert.deepEqual([provider.banned, provider.totalRentals, provider.failedRentals], [false, 0, 0])
  })

  await check('what the cloud would be', async () => {
    assert.deepEqual((await at('/v1/cloud/status')).json, { enabled: false, endpoint: null, modelCount: 0 })
    assert.deepEqual((await at('/v1/cloud/skills')).json, { skills: [], count: 0 })
    const inference = await at('/v1/cloud/inference', { method: 'POST', body: {} })
    assert.deepEqual([inference.status, inference.json.error], [503, 'Cloud integration not enabled'])
    const skill = await at('/v1/cloud/skills/1', { method: 'POST', body: {} })
    assert.deepEqual([skill.status, skill.json.error], [501, 'Skills not supported'])
  })

  await check('prompts are not forwarded', async () => {
    const body = { model: context.nodes.open.model, messages: [{ role: 'user', content: 'secret' }] }
    const { status, json, text } = await at(`/v1/proxy/${first.address}/v1/chat/completions`, { method: 'POST', body })
    assert.deepEqual([status, json.code], [403, 'proxy_refused'])
    assert(json.error.includes('TLS') && !text.includes('secret'), text)
  })

  await check("a node's agent card", async () => {
    const { status, json } = await request(`${context.nodes.open.url}/.well-known/agent-card.json`)
    assert.equal(status, 200)
    assert.deepEqual(json.skills.map(({ id }) => id), ['attestation', `inference-${context.nodes.open.model}`])
    assert(json.name && json.description && json.version && json.capabilities && json.supportedInterfaces.length, JSON.stringify(json))
  })

  await check('the agent card', async () => {
    const { status, headers, json } = await at('/.well-known/agent-card.json')
    assert.equal(status, 200)
    assert.match(headers.get('content-type'), /json/)
    assert(json.name && json.description && json.version && json.skills.length && json.capabilities, JSON.stringify(json))
    // Nothing is served at an endpoint that isn't there.
    assert(!JSON.stringify(json).includes('/a2a'))
  })

  await check('browsers may read', async () => {
    const { headers } = await at('/v1/providers', { headers: { origin: 'https://app.example' } })
    assert.equal(headers.get('access-control-allow-origin'), '*')
    const { status } = await at('/v1/rentals', { method: 'OPTIONS', headers: { origin: 'https://app.example', 'access-control-request-method': 'POST' } })
    assert.equal(status, 204)
  })

  await check('what is unknown', async () => {
    assert.equal((await at('/v1/nothing')).status, 404)
    const { status, json } = await at('/v1/rentals')
    assert.equal(status, 400)
    assert.equal(typeof json.error, 'string')
  })

  await check('a provider rents out', async () => {
    const resources = { gpuType: 0, gpuCount: 0, gpuVram: 0, cpuCores: 2, memoryGb: 2, storageGb: 10, bandwidthMbps: 100, teeCapable: true }
    const pricing = { pricePerHour: HOURLY, pricePerGpuHour: 0, minimumRentalHours: 1, maximumRentalHours: 24 }
    const mine = context.contract('computeRental', second)
    await context.send(mine.setProviderResources(resources, pricing, 4, [], true, true))
    const { status, json } = await at(`/v1/rentals/quote?provider=${second.address}&duration=3`)
    assert.equal(status, 200, JSON.stringify(json))
    const cost = await rental.calculateRentalCost(second.address, 3)
    assert.deepEqual(json, {
      provider: second.address, providerName: 'Test Provider', durationHours: 3, totalCostWei: `${cost}`, totalCostEth: formatEther(cost),
    })
    assert.equal((await at('/v1/rentals/quote')).status, 400)
  })

  const wanted = { provider: second.address, duration: 2, sshPublicKey: SSH_KEY, containerImage: IMAGE, startupScript: 'true' }

  await check('only who signs is served', async () => {
    const nonce = crypto.randomUUID()
    const post = (headers) => at('/v1/rentals', { method: 'POST', body: wanted, headers })
    const used = await gatewayHeaders(renter, { nonce })
    assert.equal((await post(used)).status, 200)
    const cases = {
      nobody: {},
      'a used nonce': used,
      'an old time': await gatewayHeaders(renter, { timestamp: Date.now() - 301_000 }),
      "another's signature": { ...(await gatewayHeaders(renter)), 'x-jeju-signature': (await gatewayHeaders(stranger))['x-jeju-signature'] },
      "a node's headers": await nodeHeaders(renter, second.address),
    }
    for (const [what, headers] of Object.entries(cases)) {
      const { status, json } = await post(headers)
      assert.equal(status, 401, `${what}: ${JSON.stringify(json)}`)
      assert(typeof json.error === 'string' && json.code, what)
    }
  })

  const create = async () => {
    const { status, json } = await signed('/v1/rentals', 'POST', wanted)
    assert.equal(status, 200, JSON.stringify(json))
    assert.equal(json.success, true)
    assert.deepEqual([json.estimatedCost, json.provider, json.duration], [`${2n * HOURLY}`, second.address, 2])
    const { transaction } = json
    assert.deepEqual([transaction.to, transaction.value], [await rental.getAddress(), `${2n * HOURLY}`])
    const call = rental.interface.parseTransaction(transaction)
    assert.equal(call.name, 'createRental')
    assert.deepEqual([...call.args], [second.address, 2n, SSH_KEY, IMAGE, 'true'])
    await sent(transaction)
    return (await rental.getUserRentals(renter.address)).at(-1)
  }
  const state = async (id) => (await at(`/v1/rentals/${id}`)).json.status

  await check('a rental is made and cancelled', async () => {
    const id = await create()
    const { json } = await at(`/v1/rentals?user=${renter.address}`)
    const listed = json.rentals.find(({ rentalId }) => rentalId === id)
    assert.deepEqual([listed.status, listed.user, listed.provider, listed.providerName], ['PENDING', renter.address, second.address, 'Test Provider'])
    assert.deepEqual([listed.totalCost, listed.containerImage], [`${2n * HOURLY}`, IMAGE])
    const { json: whole } = await at(`/v1/rentals/${id}`)
    assert.deepEqual([whole.sshPublicKey, whole.startupScript], [SSH_KEY, 'true'])
    assert.equal((await signed(`/v1/rentals/${id}/extend`, 'POST', { additionalHours: 1 })).status, 400)
    assert.equal((await signed(`/v1/rentals/${id}/cancel`, 'POST', undefined, stranger)).status, 404)
    const cancelled = await signed(`/v1/rentals/${id}/cancel`, 'POST')
    assert.equal(cancelled.json.success, true, cancelled.text)
    await sent(cancelled.json.transaction)
    assert.equal(await state(id), 'CANCELLED')
    assert.equal(STATES[Number((await rental.getRental(id)).status)], 'CANCELLED')
    assert.equal((await at(`/v1/rentals/0x${'11'.repeat(32)}`)).status, 404)
  })

  await check('a rental is extended, reached, ended and rated', async () => {
    const id = await create()
    const early = await signed('/v1/routes', 'POST', { rentalId: id, type: 'ssh' })
    assert.deepEqual([early.status, early.json.error], [400, 'Rental not active'])
    const server = await echoes()
    const { port } = server.address()
    await context.send(context.contract('computeRental', second).startRental(id, '127.0.0.1', port, 'container'))
    assert.equal(await state(id), 'ACTIVE')
    const extended = await signed(`/v1/rentals/${id}/extend`, 'POST', { additionalHours: 3 })
    assert.deepEqual([extended.json.estimatedCost, extended.json.additionalHours], [`${3n * HOURLY}`, 3])
    const before = (await rental.getRental(id)).endTime
    await sent(extended.json.transaction)
    assert.equal((await rental.getRental(id)).endTime - before, 3n * 3600n)

    const other = await signed('/v1/routes', 'POST', { rentalId: id, type: 'ssh' }, stranger)
    assert.deepEqual([other.status, other.json.error], [403, 'Not rental owner'])
    const route = await signed('/v1/routes', 'POST', { rentalId: id, type: 'ssh' })
    assert.equal(route.status, 200, route.text)
    assert.match(route.json.routeId, /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/)
    assert.equal(route.json.type, 'ssh')
    assert(route.json.proxyHost && route.json.proxyPort > 0)
    assert.equal(BigInt(route.json.expiresAt), (await rental.getRental(id)).endTime * 1000n)
    const { json: list } = await signed('/v1/routes', 'GET')
    const mine = list.routes.find(({ routeId }) => routeId === route.json.routeId)
    assert.deepEqual([mine.rentalId, mine.type, mine.targetHost, mine.targetPort], [id, 'ssh', '127.0.0.1', port])
    assert.equal((await signed('/v1/routes', 'GET', undefined, stranger)).json.routes.length, 0)
    const foreign = await signed(`/v1/routes/${route.json.routeId}`, 'DELETE', undefined, stranger)
    assert.deepEqual([foreign.status, foreign.json.error], [403, 'Not route owner'])

    // The proxy's own words, and nothing lost behind the first line.
    const { routeId, proxyPort } = route.json
    const said = `SSH-OK\r\n${SSH_VERSION}SSH-2.0-client\r\n`
    assert.equal(await through(proxyPort, `SSH-CONNECT ${routeId}\r\nSSH-2.0-client\r\n`, said), said)
    assert.equal(await through(proxyPort, `SSH-CONNECT ${crypto.randomUUID()}\r\n`), 'SSH-ERROR: Route not found\r\n')
    assert.equal(await through(proxyPort, 'SSH-CONNECT \r\n'), 'SSH-ERROR: Route ID required\r\n')
    assert.deepEqual((await signed(`/v1/routes/${routeId}`, 'DELETE')).json, { success: true })
    assert.equal(await through(proxyPort, `SSH-CONNECT ${routeId}\r\n`), 'SSH-ERROR: Route not found\r\n')
    assert.equal((await signed(`/v1/routes/${route.json.routeId}`, 'DELETE')).status, 404)

    // The same with our own client.
    const ours = ['--gateway', url, '--json']
    const refused = await context.jeju(stranger, ['route', 'create', id, ...ours])
    assert.deepEqual([refused.code, JSON.parse(refused.output).code], [5, 'gateway_refused'])
    const made = JSON.parse((await context.jeju(renter, ['route', 'create', id, ...ours])).output)
    // The name that the gateway says is nobody's here.
    const way = `${made.routeId}@127.0.0.1:${made.proxyPort}`
    const carried = await context.jeju(renter, ['route', 'connect', way], 'SSH-2.0-client\r\n')
    assert.deepEqual(carried, { code: 0, output: `${SSH_VERSION}SSH-2.0-client\r\n` })
    const all = JSON.parse((await context.jeju(renter, ['route', 'list', ...ours])).output)
    assert.deepEqual(all.routes.map(({ routeId }) => routeId), [made.routeId])
    assert.equal((await context.jeju(renter, ['route', 'delete', made.routeId, ...ours])).code, 0)
    assert.equal((await context.jeju(renter, ['route', 'connect', way])).code, 5)
    server.close()

    assert.equal((await signed(`/v1/rentals/${id}/rate`, 'POST', { rating: 5 })).status, 400)
    await context.send(rental.completeRental(id))
    assert.equal(await state(id), 'COMPLETED')
    assert.equal((await signed(`/v1/rentals/${id}/rate`, 'POST', { rating: 6 })).status, 400)
    const rated = await signed(`/v1/rentals/${id}/rate`, 'POST', { rating: 4, review: 'good' })
    await sent(rated.json.transaction)
    const { score, comment } = await rental.getRentalRating(id)
    assert.deepEqual([score, comment], [80n, 'good'])
    const { json: reputation } = await at(`/v1/reputation/provider/${second.address}`)
    assert(reputation.completedRentals >= 1 && reputation.rating > 0, JSON.stringify(reputation))
    const { json: user } = await at(`/v1/reputation/user/${renter.address}`)
    assert(user.totalRentals >= 2 && user.completedRentals >= 1, JSON.stringify(user))
  })
}

/** A server that greets as SSH servers do, and says everything again. */
const echoes = () =>
  new Promise((resolve) => {
    const server = createServer((socket) => {
      socket.on('error', () => {})
      socket.write(SSH_VERSION)
      socket.pipe(socket)
    })
    server.listen(0, '127.0.0.1', () => resolve(server))
  })

/** What comes back for some bytes: until it is what was expected, or the other side ends. */
const through = (port, bytes, expected) =>
  new Promise((resolve, reject) => {
    let found = ''
    const socket = connect(port, '127.0.0.1', () => socket.write(bytes))
    socket.setTimeout(60_000, () => socket.destroy(new Error(`silence after ${JSON.stringify(found)}`)))
    socket.on('error', reject)
    socket.on('close', () => resolve(found))
    socket.on('data', (data) => {
      found += data
      if (found === expected) socket.destroy()
    })
  })
