// Where everything is, from the file that e2e/compat.py writes, and what checks do there.
import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { Contract, JsonRpcProvider, Wallet, getAddress } from 'ethers'
import { ABI } from './seed.mjs'

// What our contracts have beside the first ones'.
const OURS = {
  inferenceServing: [
    'function settleService(address provider, uint256 service, bytes32 requestHash, uint256 inputTokens, uint256 outputTokens, uint256 nonce, bytes signature)',
    'function settlementDigest(address user, address provider, uint256 service, bytes32 requestHash, uint256 inputTokens, uint256 outputTokens, uint256 nonce) view returns (bytes32)',
    'function voucherDigest(tuple(address user, address provider, uint256 cumulative, uint64 sequence, bytes32 requestDigest, bytes32 responseDigest, uint64 expiry) voucher) view returns (bytes32)',
    'function settleVoucher(tuple(address user, address provider, uint256 cumulative, uint64 sequence, bytes32 requestDigest, bytes32 responseDigest, uint64 expiry) voucher, bytes signature) returns (uint256)',
    'function sessionOf(address user, address provider) view returns (uint256 paid, uint64 sequence)',
  ],
  ledgerManager: ['function owed(address account) view returns (uint256)', 'function withdraw()'],
}

export class Context {
  constructor(path) {
    Object.assign(this, JSON.parse(readFileSync(path, 'utf8')))
    // Every answer is asked for anew: checks read what they have just changed.
    this.chain = new JsonRpcProvider(this.rpc, undefined, { cacheTimeout: -1, staticNetwork: true })
    for (const node of Object.values(this.nodes)) node.provider = getAddress(node.provider)
    for (const [name, address] of Object.entries(this.contracts)) this.contracts[name] = getAddress(address)
    this.wallets = this.keys.map((key) => new Wallet(key, this.chain))
  }

  /** Fails where there is no chain, or another one: nothing here means anything without. */
  async connect() {
    const answer = await fetch(this.rpc, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'eth_chainId', params: [] }),
      signal: AbortSignal.timeout(10_000),
    })
    const { result } = await answer.json()
    if (Number(result) !== this.chainId) throw new Error(`chain ${result} at ${this.rpc}, not ${this.chainId}`)
    for (const [name, address] of Object.entries(this.contracts)) {
      if ((await this.chain.getCode(address)) === '0x') throw new Error(`no contract ${name} at ${address}`)
    }
  }

  /** A contract, as `wallet` uses it: by the first clients' ABI, and what ours has beside. */
  contract(name, wallet) {
    return new Contract(this.contracts[name], [...ABI[name], ...(OURS[name] ?? [])], wallet ?? this.chain)
  }

  /** Runs our own client as the owner of a wallet. */
  async jeju(wallet, args, input = '') {
    const environment = { ...process.env, JEJU_KEY: wallet.privateKey }
    const child = spawn(this.jeju_program, args, { env: environment, stdio: ['pipe', 'pipe', 'inherit'], timeout: 60_000 })
    child.stdin.on('error', () => {})
    child.stdin.end(input)
    let output = ''
    child.stdout.on('data', (data) => (output += data))
    const code = await new Promise((resolve) => child.on('close', resolve))
    return { code, output }
  }

  /** Sends a transaction and waits for its block. */
  async send(transaction) {
    const receipt = await (await transaction).wait()
    if (receipt.status !== 1) throw new Error(`transaction ${receipt.hash} failed`)
    return receipt
  }
}

/** A request to a node or gateway: status, headers and the body, parsed where it is JSON. */
export async function request(url, { method = 'GET', headers = {}, body } = {}) {
  const answer = await fetch(url, {
    method,
    headers: body === undefined ? headers : { 'content-type': 'application/json', ...headers },
    body: body === undefined ? undefined : typeof body === 'string' ? body : JSON.stringify(body),
    signal: AbortSignal.timeout(60_000),
  })
  const text = await answer.text()
  let json
  try {
    json = JSON.parse(text)
  } catch {
    json = undefined
  }
  return { status: answer.status, ok: answer.ok, headers: answer.headers, text, json }
}

/** One answer of a model. */
export const chat = (node, body, headers = {}) =>
  request(`${node.url}/v1/chat/completions`, {
    method: 'POST',
    headers,
    body: { model: node.model, max_tokens: 8, temperature: 0, ...body },
  })

/** JSON of a stream's events, without `[DONE]`. */
export function events(text) {
  const lines = text.split('\n').filter((line) => line.startsWith('data:'))
  if (lines.at(-1)?.slice(5).trim() !== '[DONE]') throw new Error(`the stream doesn't end with [DONE]: ${text.slice(-300)}`)
  return lines.slice(0, -1).map((line) => JSON.parse(line.slice(5)))
}
