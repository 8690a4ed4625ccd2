// openai-node, unchanged.
import assert from 'node:assert/strict'
import OpenAI, { BadRequestError, NotFoundError } from 'openai'
import { zodResponseFormat, zodTextFormat } from 'openai/helpers/zod'
import { z } from 'zod'

import { ASK_JSON, ASK_WEATHER, EMBEDDED, LLAMA_CPP, QUESTION, call, isJson, isUnit, run } from './calls.mjs'

const city = z.object({ city: z.enum(['Paris', 'Rome']) })
const greedy = { messages: [{ role: 'user', content: QUESTION }], max_tokens: 12, temperature: 0 }

function chat(client, target, changes = {}) {
  return client.chat.completions.create({ model: target.model, ...greedy, ...changes })
}

function refused(promise, error, code) {
  return assert.rejects(promise, (found) => {
    assert(found instanceof error, `${found}`)
    assert(found.code === code && found.type === 'invalid_request_error', `${found.code}: ${found}`)
    return true
  })
}

call('models', async (client, target) => {
  assert((await client.models.list()).data.some((entry) => entry.id === target.model))
  assert.equal((await client.models.retrieve(target.model)).confidential, true)
})

call('chat_whole', async (client, target) => {
  const { data, response } = await chat(client, target).withResponse()
  assert(response.headers.get('jeju-claims') && response.headers.get('signature'))
  assert(data.choices[0].message.content && ['stop', 'length'].includes(data.choices[0].finish_reason))
  assert.equal(data.usage.total_tokens, data.usage.prompt_tokens + data.usage.completion_tokens)
})

call('chat_stream', async (client, target) => {
  const whole = await chat(client, target)
  let text = ''
  let usage
  for await (const chunk of await chat(client, target, { stream: true, stream_options: { include_usage: true } })) {
    text += chunk.choices[0]?.delta.content ?? ''
    usage = chunk.usage ?? usage
  }
  assert.equal(text, whole.choices[0].message.content)
  assert.deepEqual(usage, whole.usage)
})

call('chat_stream_helper', async (client, target) => {
  const stream = client.chat.completions.stream({ model: target.model, ...greedy })
  let text = ''
  stream.on('content', (delta) => (text += delta))
  assert.equal((await stream.finalChatCompletion()).choices[0].message.content, text)
})

call('chat_stream_aborted', async (client, target) => {
  const stream = await chat(client, target, { stream: true, max_tokens: 200 })
  for await (const _ of stream) break
  assert(stream.controller.signal.aborted)
  assert((await chat(client, target)).choices[0].message.content)
})

call('chat_choices', async (client, target) => {
  const { choices } = await chat(client, target, { n: 2, temperature: 1, seed: 3, max_tokens: 4 })
  assert.deepEqual(choices.map((choice) => choice.index).sort(), [0, 1])
})

call('chat_logprobs', async (client, target) => {
  const [choice] = (await chat(client, target, { logprobs: true, top_logprobs: 2 })).choices
  const bytes = choice.logprobs.content.flatMap((entry) => entry.bytes)
  assert.equal(Buffer.from(bytes).toString(), choice.message.content)
  assert(choice.logprobs.content.every((entry) => entry.top_logprobs.length === 2 && entry.logprob <= 0))
})

call('chat_options', async (client, target) => {
  const options = { stop: ['.', '\n'], seed: 1, temperature: 0.7, top_p: 0.9, presence_penalty: 0.5, frequency_penalty: 0.5 }
  const answer = await chat(client, target, { ...options, max_tokens: undefined, max_completion_tokens: 8, user: 'somebody', metadata: {} })
  assert(!answer.choices[0].message.content.includes('.'))
  assert(answer.usage.completion_tokens <= 8)
})

call('chat_json_object', async (client, target) => {
  const ask = { messages: [{ role: 'user', content: ASK_JSON }], response_format: { type: 'json_object' }, max_tokens: 80 }
  const [choice] = (await chat(client, target, ask)).choices
  isJson(choice.message.content, choice.finish_reason)
})

const schema = { messages: [{ role: 'user', content: ASK_JSON }], response_format: zodResponseFormat(city, 'city'), max_tokens: 40 }

call('chat_json_schema', async (client, target) => {
  const answer = await client.chat.completions.parse({ model: target.model, temperature: 0, ...schema })
  assert(['Paris', 'Rome'].includes(answer.choices[0].message.parsed.city))
}, LLAMA_CPP)

call('chat_json_schema_refused', async (client, target) => {
  await refused(client.chat.completions.parse({ model: target.model, ...schema }), BadRequestError, 'unsupported_parameter')
}, EMBEDDED)

call('chat_run_tools', async (client, target) => {
  let asked
  const runner = client.chat.completions.runTools({
    model: target.model, messages: [{ role: 'user', content: ASK_WEATHER }], temperature: 0, max_tokens: 48, logit_bias: target.call_a_tool,
    tool_choice: 'required',
    tools: [{ type: 'function', function: {
      name: 'get_weather', description: 'The weather of a city', parameters: z.toJSONSchema(city), parse: JSON.parse,
      function: (parameters) => { asked = parameters.city; return 'sunny' },
    } }],
  }, { maxChatCompletions: 1 })
  await runner.done()
  assert(['Paris', 'Rome'].includes(asked), asked)
}, LLAMA_CPP)

call('completions', async (client, target) => {
  const ask = { model: target.model, prompt: 'Once upon a time', max_tokens: 5, temperature: 0 }
  const whole = await client.completions.create(ask)
  let text = ''
  for await (const chunk of await client.completions.create({ ...ask, stream: true })) text += chunk.choices[0]?.text ?? ''
  assert(text && text === whole.choices[0].text)
})

call('embeddings', async (client, target) => {
  // The client asks for base64 by itself.
  const { data } = await client.embeddings.create({ model: target.model, input: ['one', 'two'] })
  data.forEach((entry) => isUnit(entry.embedding))
  const floats = await client.embeddings.create({ model: target.model, input: 'one', encoding_format: 'float' })
  assert(floats.data[0].embedding.every((value, at) => Math.abs(value - data[0].embedding[at]) < 1e-5))
})

const respond = (target) => ({ model: target.model, input: QUESTION, instructions: 'Be brief.', max_output_tokens: 12, temperature: 0 })

call('responses', async (client, target) => {
  const answer = await client.responses.create(respond(target))
  assert(answer.output_text && ['completed', 'incomplete'].includes(answer.status))
  assert.equal(answer.usage.total_tokens, answer.usage.input_tokens + answer.usage.output_tokens)
})

call('responses_stream', async (client, target) => {
  const whole = await client.responses.create(respond(target))
  const kinds = []
  let text = ''
  let last
  for await (const event of await client.responses.create({ ...respond(target), stream: true })) {
    kinds.push(event.type)
    if (event.type === 'response.output_text.delta') text += event.delta
    last = event
  }
  assert.equal(kinds[0], 'response.created')
  assert(['response.completed', 'response.incomplete'].includes(last.type), last.type)
  assert.equal(text, whole.output_text)
  assert.deepEqual(last.response.usage, whole.usage)
})

call('responses_stream_helper', async (client, target) => {
  const answer = await client.responses.stream(respond(target)).finalResponse()
  assert(answer.output_text)
})

call('responses_json_schema', async (client, target) => {
  const answer = await client.responses.parse({ ...respond(target), input: ASK_JSON, max_output_tokens: 40, text: { format: zodTextFormat(city, 'city') } })
  assert(['Paris', 'Rome'].includes(answer.output_parsed.city))
}, LLAMA_CPP)

call('errors', async (client, target) => {
  await refused(chat(client, target, { model: 'no-such-model' }), NotFoundError, 'model_not_found')
  await refused(chat(client, target, { temperature: 'hot' }), BadRequestError, 'invalid_type')
  await refused(chat(client, target, { web_search_options: {} }), BadRequestError, 'unsupported_parameter')
  await refused(chat(client, target, { audio: { voice: 'alloy', format: 'wav' }, modalities: ['audio'] }), BadRequestError, 'unsupported_parameter')
})

await run((target) => new OpenAI({ baseURL: target.base_url, apiKey: `node-${target.name}`, maxRetries: 0, timeout: 120_000 }))
