// Called by check-artifacts.sh: takes what the bindings need out of forge's output, and nothing that depends on the machine.
import { mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs'

const CONTRACTS = [
  'AttestedKeyRegistry',
  'ComputeRegistry',
  'ComputeRental',
  'ComputeStaking',
  'FrostVerifier',
  'FrostWallet',
  'FrostWalletFactory',
  'HardwareRegistry',
  'IdentityRegistry',
  'InferenceServing',
  'JobRegistry',
  'LedgerManager',
  'MPCKeyRegistry',
  'MeasurementRegistry',
  'ReputationRegistry',
  'SlashingCourt',
  'TriggerRegistry',
  'ValidationRegistry',
  'WorkerRegistry',
]
const [out, mode] = process.argv.slice(2)
const write = mode === '--write'
let differ = false

mkdirSync('artifacts', { recursive: true })
for (const name of CONTRACTS) {
  const built = JSON.parse(readFileSync(`${out}/${name}.sol/${name}.json`, 'utf8'))
  const artifact = {
    contractName: name,
    compiler: built.metadata.compiler.version,
    abi: built.abi,
    methodIdentifiers: built.methodIdentifiers,
    bytecode: { object: built.bytecode.object },
  }
  const text = JSON.stringify(artifact, null, 2) + '\n'
  const path = `artifacts/${name}.json`
  if (write) {
    writeFileSync(path, text)
    console.log(`${path}: written`)
  } else if (read(path) !== text) {
    console.error(`${path}: differs from the sources; run contracts/check-artifacts.sh --write`)
    differ = true
  } else {
    console.log(`${path}: matches`)
  }
}

for (const file of readdirSync('artifacts')) {
  if (!CONTRACTS.includes(file.replace(/\.json$/, ''))) {
    console.error(`artifacts/${file}: no such contract`)
    differ = true
  }
}
process.exit(differ ? 1 : 0)

function read(path) {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}
