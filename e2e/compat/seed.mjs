// What clients of the first Jeju Compute send and read: texts, headers, hashes and the ABI that they were built with.
import { randomUUID } from 'node:crypto'
import { keccak256, solidityPackedKeccak256, toUtf8Bytes } from 'ethers'

/** Headers of a request to the node of `provider`, as the first SDK makes them; `settlementNonce` where it wants to settle. */
export async function nodeHeaders(wallet, provider, { nonce = randomUUID(), timestamp = Date.now(), settlementNonce } = {}) {
  const signature = await wallet.signMessage(`${wallet.address}:${nonce}:${timestamp}:${provider}`)
  const headers = {
    'x-jeju-address': wallet.address,
    'x-jeju-nonce': nonce,
    'x-jeju-timestamp': `${timestamp}`,
    'x-jeju-signature': signature,
  }
  return settlementNonce === undefined ? headers : { ...headers, 'x-jeju-settlement-nonce': `${settlementNonce}` }
}

/** The same for a gateway, whose text names no provider. */
export async function gatewayHeaders(wallet, { nonce = randomUUID(), timestamp = Date.now() } = {}) {
  return {
    'x-jeju-address': wallet.address,
    'x-jeju-nonce': nonce,
    'x-jeju-timestamp': `${timestamp}`,
    'x-jeju-signature': await wallet.signMessage(`${wallet.address}:${nonce}:${timestamp}`),
  }
}

/** The payment header of x402 as the first SDK makes it. */
export async function paymentHeader(wallet, provider, amount, network = 'jeju', changes = {}) {
  const payload = await wallet.signMessage(`x402:${network}:${provider}:${amount}`)
  const fields = { scheme: 'exact', network, payload, asset: `0x${'0'.repeat(40)}`, amount: `${amount}`, ...changes }
  return Object.entries(fields)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => `${name}=${value}`)
    .join(';')
}

/** What a settlement is about: a hash over id and model of an answer. */
export const requestHash = ({ id, model }) => keccak256(toUtf8Bytes(JSON.stringify({ id, model })))

/** The digest that the first contract wanted; ours takes typed data. */
export const settlementInner = (user, provider, hash, input, output, nonce) =>
  solidityPackedKeccak256(
    ['address', 'address', 'bytes32', 'uint256', 'uint256', 'uint256'],
    [user, provider, hash, input, output, nonce],
  )

/** What the first node asks for a request before it answers: a quarter of a token a character, 500 tokens of answer. */
export function estimate(messages, prices, maxTokens = 500) {
  const characters = messages.reduce((sum, { content }) => sum + content.length, 0)
  return BigInt(Math.ceil(characters / 4)) * prices.input + BigInt(maxTokens) * prices.output
}

export const ABI = {
  computeRegistry: [
    'function register(string name, string endpoint, bytes32 attestationHash) payable',
    'function registerWithAgent(string name, string endpoint, bytes32 attestationHash, uint256 agentId) payable',
    'function getProvider(address provider) view returns (tuple(address owner, string name, string endpoint, bytes32 attestationHash, uint256 stake, uint256 registeredAt, uint256 agentId, bool active))',
    'function isActive(address provider) view returns (bool)',
    'function getActiveProviders() view returns (address[])',
    'function getProviderStake(address provider) view returns (uint256)',
    'function addStake() payable',
    'function addCapability(string model, uint256 pricePerInputToken, uint256 pricePerOutputToken, uint256 maxContextLength)',
    'function getCapabilities(address provider) view returns (tuple(string model, uint256 pricePerInputToken, uint256 pricePerOutputToken, uint256 maxContextLength, bool active)[])',
    'function minProviderStake() view returns (uint256)',
    'function version() view returns (string)',
  ],
  ledgerManager: [
    'function createLedger() payable',
    'function deposit() payable',
    'function withdraw(uint256 amount)',
    'function transferToProvider(address provider, uint256 amount)',
    'function acknowledgeUser(address user)',
    'function requestRefund(address provider, uint256 amount)',
    'function cancelRefund(address provider)',
    'function getLedger(address user) view returns (tuple(uint256 totalBalance, uint256 availableBalance, uint256 lockedBalance, uint256 createdAt))',
    'function getSubAccount(address user, address provider) view returns (tuple(uint256 balance, uint256 pendingRefund, uint256 refundUnlockTime, bool acknowledged))',
    'function ledgerExists(address user) view returns (bool)',
    'function MIN_DEPOSIT() view returns (uint256)',
    'function version() view returns (string)',
  ],
  computeRental: [
    'function setProviderResources(tuple(uint8 gpuType, uint8 gpuCount, uint16 gpuVram, uint16 cpuCores, uint32 memoryGb, uint32 storageGb, uint32 bandwidthMbps, bool teeCapable) resources, tuple(uint256 pricePerHour, uint256 pricePerGpuHour, uint256 minimumRentalHours, uint256 maximumRentalHours) pricing, uint256 maxConcurrent, string[] images, bool sshEnabled, bool dockerEnabled)',
    'function createRental(address provider, uint256 durationHours, string sshPublicKey, string containerImage, string startupScript) payable returns (bytes32)',
    'function startRental(bytes32 rentalId, string sshHost, uint16 sshPort, string containerId)',
    'function completeRental(bytes32 rentalId)',
    'function cancelRental(bytes32 rentalId)',
    'function extendRental(bytes32 rentalId, uint256 additionalHours) payable',
    'function rateRental(bytes32 rentalId, uint8 score, string comment)',
    'function getRental(bytes32 rentalId) view returns (tuple(bytes32 rentalId, address user, address provider, uint8 status, uint256 startTime, uint256 endTime, uint256 totalCost, uint256 paidAmount, uint256 refundedAmount, string sshPublicKey, string containerImage, string startupScript, string sshHost, uint16 sshPort))',
    'function getUserRentals(address user) view returns (bytes32[])',
    'function calculateRentalCost(address provider, uint256 durationHours) view returns (uint256)',
    'function getRentalRating(bytes32 rentalId) view returns (tuple(uint8 score, string comment, uint256 ratedAt))',
  ],
  inferenceServing: [
    'function registerService(string model, string endpoint, uint256 pricePerInputToken, uint256 pricePerOutputToken)',
    'function getServices(address provider) view returns (tuple(address provider, string model, string endpoint, uint256 pricePerInputToken, uint256 pricePerOutputToken, bool active)[])',
    'function getActiveServices(address provider) view returns (tuple(address provider, string model, string endpoint, uint256 pricePerInputToken, uint256 pricePerOutputToken, bool active)[])',
    'function getNonce(address user, address provider) view returns (uint256)',
    'function getSigner(address provider) view returns (address)',
    'function setSigner(address signer)',
    'function calculateFee(address provider, uint256 inputTokens, uint256 outputTokens) view returns (uint256)',
    'function settle(address provider, bytes32 requestHash, uint256 inputTokens, uint256 outputTokens, uint256 nonce, bytes signature)',
    'function version() view returns (string)',
    'event Settled(address indexed user, address indexed provider, bytes32 requestHash, uint256 inputTokens, uint256 outputTokens, uint256 fee, uint256 nonce)',
  ],
}
