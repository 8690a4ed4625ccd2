// The fourteen checks that the first Jeju Compute validated a node with.
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { isAddress, verifyMessage } from 'ethers'
import { chat, events, request } from './context.mjs'
import { nodeHeaders } from './seed.mjs'

const prompt = (content) => ({ messages: [{ role: 'user', content }] })
const isTextOrNull = (value) => value === null || (typeof value === 'string' && value.length > 0)

/** Directly, and through a proxy that verifies the node for clients that can't. */
export default async function validate(context, checks) {
  await of(context, context.nodes.open, checks.check)
  await of(context, context.nodes.proxied, (name, action) => checks.check(`${name}, through the proxy`, action))
}

async function of(context, node, check) {
  const [wallet] = context.wallets
  const at = (path) => request(node.url + path)
  const hardware = (await at('/v1/hardware')).json ?? {}

  // The first five asked the machine of the client; clients of a node ask the node.
  await check('platform', () => {
    assert(['linux', 'darwin', 'win32'].includes(hardware.platform) && ['x64', 'arm64'].includes(hardware.arch), JSON.stringify(hardware))
  })
  await check('processors and memory', () => assert(hardware.cpus > 0 && hardware.memory > 0, JSON.stringify(hardware)))
  await check('graphics processor', () => assert(isTextOrNull(hardware.gpuType)))
  // What names the host stays with the host.
  await check('network card', () => assert(hardware.macAddress === null && hardware.hostname === null))
  await check('container runtime', () => assert([null, 'docker', 'podman'].includes(hardware.containerRuntime)))

  await check('server', async () => assert((await at('/health')).status < 500))

  await check('health', async () => {
    const { status, json } = await at('/health')
    assert.equal(status, 200)
    assert.equal(json.status, 'ok')
    // The account that is paid, as clients compare it.
    assert.equal(json.provider, node.provider)
    assert(json.models.includes(node.model) && ['cold', 'warm', 'hot'].includes(json.warmth) && json.uptime > 0)
    assert(['cpu', 'gpu'].includes(json.nodeType))
    assert.deepEqual(Object.keys(json.tee).sort(), ['isReal', 'provider', 'status', 'warning'])
  })

  await check('models', async () => {
    const { status, json } = await at('/v1/models')
    assert.equal(status, 200)
    assert.equal(json.object, 'list')
    const [model] = json.data
    assert.deepEqual([model.id, model.object, typeof model.created], [node.model, 'model', 'number'])
    assert.equal(model.owned_by, node.provider)
  })

  await check('inference', async () => {
    const { status, json } = await chat(node, { ...prompt('What is 2+2?'), max_tokens: undefined, stream: false })
    assert.equal(status, 200, JSON.stringify(json))
    assert.equal(json.object, 'chat.completion')
    assert.equal(json.model, node.model)
    assert(json.choices[0].message.content && json.choices[0].message.role === 'assistant')
    assert.equal(json.usage.total_tokens, json.usage.prompt_tokens + json.usage.completion_tokens)
    // Nobody asked for it, and nobody signed.
    assert.equal(json.settlement, undefined)
  })

  await check('streamed inference', async () => {
    const { status, headers, text } = await chat(node, { ...prompt('Hello'), stream: true })
    assert.equal(status, 200, text)
    assert.match(headers.get('content-type'), /^text\/event-stream/)
    const chunks = events(text)
    assert(chunks.length > 2 && chunks.every((chunk) => chunk.object === 'chat.completion.chunk'))
    assert.equal(chunks[0].choices[0].delta.role, 'assistant')
    assert(chunks.some((chunk) => chunk.choices[0]?.delta.content))
  })

  await check('metrics', async () => {
    const { status, json } = await at('/v1/metrics')
    assert.equal(status, 200)
    assert(['cold', 'warm', 'hot'].includes(json.warmth) && json.uptime > 0)
    assert(json.totalInferences >= 1 && json.averageLatency > 0 && json.coldStartTime > 0 && json.lastInferenceAt > 0, JSON.stringify(json))
  })

  await check('attestation', async () => {
    const nonce = crypto.randomUUID()
    const { status, json } = await at(`/v1/attestation/report?nonce=${nonce}`)
    assert.equal(status, 200)
    assert.equal(json.nonce, nonce)
    assert(isAddress(json.signingAddress) && Math.abs(Date.parse(json.timestamp) - Date.now()) < 3_600_000)
    assert.deepEqual([json.simulated, json.teeIsReal], [true, false])
    assert.match(json.attestation_hash, /^0x[0-9a-f]{64}$/)
    assert(json._tee_notice && json.teeWarning)
    // As the first clients verify it: the text is made anew from the report's fields.
    const text = JSON.stringify({
      signingAddress: json.signingAddress,
      hardware: hardwareHash(json.hardware),
      timestamp: json.timestamp,
      nonce: json.nonce,
      teeStatus: json.teeStatus,
    })
    assert.equal(verifyMessage(text, json.signature), json.signingAddress)
  })

  await check('hardware', async () => {
    const { status, json } = await at('/v1/hardware')
    assert.equal(status, 200)
    const names = 'platform arch cpus memory gpuType gpuVram cudaVersion mlxVersion hostname macAddress cpuModel teeCapable containerRuntime nodeType teeInfo'
    for (const name of names.split(' ')) assert(name in json, name)
    assert.equal(json.teeInfo.isReal, false)
  })

  await check('signed request', async () => {
    const headers = await nodeHeaders(wallet, node.provider)
    const { status, json } = await chat(node, prompt('Auth test'), headers)
    assert.equal(status, 200, JSON.stringify(json))
  })
}

/** The first clients' hash of a node's hardware. */
function hardwareHash(hardware) {
  const fields = ['platform', 'arch', 'gpuType', 'gpuVram', 'cudaVersion', 'mlxVersion', 'macAddress']
  const text = JSON.stringify(Object.fromEntries(fields.map((name) => [name, hardware[name]])))
  return `0x${createHash('sha256').update(text).digest('hex')}`
}
