// openai-node, unchanged: base URL and model come as arguments, trust comes from NODE_EXTRA_CA_CERTS. `slow` leaves
// out what only the client's own helpers add: each answer of an emulated node takes half a minute.
import assert from 'node:assert/strict'
import OpenAI, { BadRequestError, NotFoundError } from 'openai'

const [baseURL, model, slow] = process.argv.slice(2)
const client = new OpenAI({ baseURL, apiKey: 'unused', maxRetries: 0, timeout: 300_000 })
const prompt = { model, messages: [{ role: 'user', content: 'What is the capital of France?' }], max_tokens: 12, temperature: 0 }

const models = await client.models.list()
assert(models.data.some((entry) => entry.id === model))

const { data: whole, response } = await client.chat.completions.create(prompt).withResponse()
assert(response.headers.get('jeju-claims') && response.headers.get('signature'))
assert(whole.choices[0].message.content)
assert(['stop', 'length'].includes(whole.choices[0].finish_reason))
assert.equal(whole.usage.total_tokens, whole.usage.prompt_tokens + whole.usage.completion_tokens)

let text = ''
let usage
const chunks = await client.chat.completions.create({ ...prompt, stream: true, stream_options: { include_usage: true } })
for await (const chunk of chunks) {
  text += chunk.choices[0]?.delta.content ?? ''
  usage = chunk.usage ?? usage
}
assert.equal(text, whole.choices[0].message.content)
assert.deepEqual(usage, whole.usage)

if (!slow) {
  let streamed = ''
  for await (const chunk of client.chat.completions.stream(prompt)) streamed += chunk.choices[0]?.delta.content ?? ''
  assert.equal(streamed, text)
}

for (const [wrong, error] of [[{ model: 'no-such-model' }, NotFoundError], [{ temperature: 'hot' }, BadRequestError]]) {
  await assert.rejects(client.chat.completions.create({ ...prompt, ...wrong }), (refused) => {
    assert(refused instanceof error, `${refused}`)
    return refused.code !== null && refused.type === 'invalid_request_error'
  })
}
