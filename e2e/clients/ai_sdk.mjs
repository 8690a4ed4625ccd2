// Vercel's AI SDK, unchanged: by its provider for compatible servers and by its provider for OpenAI.
import assert from 'node:assert/strict'
import { createOpenAI } from '@ai-sdk/openai'
import { createOpenAICompatible } from '@ai-sdk/openai-compatible'
import { APICallError, Output, embed, embedMany, generateObject, generateText, stepCountIs, streamObject, streamText, tool } from 'ai'
import { z } from 'zod'

import { ASK_JSON, ASK_WEATHER, EMBEDDED, LLAMA_CPP, QUESTION, call, isUnit, run } from './calls.mjs'

const city = z.object({ city: z.enum(['Paris', 'Rome']) })
const once = { maxRetries: 0, temperature: 0 }
const brief = { ...once, prompt: QUESTION, maxOutputTokens: 12 }

function clientOf(target) {
  const server = { baseURL: target.base_url, apiKey: `ai-${target.name}` }
  return {
    compatible: createOpenAICompatible({ ...server, name: 'jeju', includeUsage: true, supportsStructuredOutputs: target.backend === LLAMA_CPP }),
    openai: createOpenAI(server),
  }
}

async function same(model, options = {}) {
  const whole = await generateText({ ...brief, ...options, model })
  assert(whole.text && ['stop', 'length'].includes(whole.finishReason), whole.finishReason)
  assert.equal(whole.usage.totalTokens, whole.usage.inputTokens + whole.usage.outputTokens)
  const stream = streamText({ ...brief, ...options, model, onError: () => {} })
  let text = ''
  for await (const delta of stream.textStream) text += delta
  assert.equal(text, whole.text)
  assert.equal((await stream.usage).outputTokens, whole.usage.outputTokens)
  return whole
}

call('compatible_text', ({ compatible }, { model }) => same(compatible(model)))
call('compatible_chat', ({ compatible }, { model }) => same(compatible.chatModel(model), {
  prompt: undefined, system: 'Answer in one word.', topP: 0.9, seed: 1, stopSequences: ['\n\n'], presencePenalty: 0.1, frequencyPenalty: 0.1,
  messages: [{ role: 'user', content: [{ type: 'text', text: 'Hello' }] }, { role: 'assistant', content: 'Hello!' }, { role: 'user', content: QUESTION }],
}))
call('compatible_completion', ({ compatible }, { model }) => same(compatible.completionModel(model)))
call('compatible_embed', async ({ compatible }, { model }) => {
  const { embedding, usage } = await embed({ model: compatible.embeddingModel(model), value: 'one', maxRetries: 0 })
  isUnit(embedding)
  assert(usage.tokens > 0)
  const { embeddings } = await embedMany({ model: compatible.embeddingModel(model), values: ['one', 'two'], maxRetries: 0 })
  assert.equal(embeddings.length, 2)
  assert(embeddings[0].every((value, at) => Math.abs(value - embedding[at]) < 1e-5))
})
call('compatible_object', async ({ compatible }, { model }) => {
  const { object } = await generateObject({ ...once, model: compatible(model), schema: city, prompt: ASK_JSON, maxOutputTokens: 40 })
  assert(['Paris', 'Rome'].includes(object.city))
}, LLAMA_CPP)
call('compatible_object_stream', async ({ compatible }, { model }) => {
  const stream = streamObject({ ...once, model: compatible(model), schema: city, prompt: ASK_JSON, maxOutputTokens: 40 })
  for await (const _ of stream.partialObjectStream);
  assert(['Paris', 'Rome'].includes((await stream.object).city))
}, LLAMA_CPP)
call('compatible_object_without_schema', async ({ compatible }, { model }) => {
  // Asks for response_format json_object.
  const { object } = await generateObject({ ...once, model: compatible(model), output: 'no-schema', prompt: ASK_JSON, maxOutputTokens: 400 })
  assert.equal(typeof object, 'object')
})
const weather = {
  get_weather: tool({ description: 'The weather of a city', inputSchema: city, execute: async () => 'sunny' }),
}
call('compatible_tools', async ({ compatible }, { model, call_a_tool }) => {
  const { steps } = await generateText({
    ...once, model: compatible(model), prompt: ASK_WEATHER, tools: weather, maxOutputTokens: 48, stopWhen: stepCountIs(2),
    prepareStep: ({ stepNumber }) => stepNumber === 0
      ? { toolChoice: 'required', providerOptions: { jeju: { logit_bias: call_a_tool } } } : { toolChoice: 'none' },
  })
  assert.equal(steps[0].toolResults[0].output, 'sunny')
  assert.equal(steps.length, 2)
}, LLAMA_CPP)
call('compatible_tools_stream', async ({ compatible }, { model, call_a_tool }) => {
  const stream = streamText({
    ...once, model: compatible(model), prompt: ASK_WEATHER, tools: weather, toolChoice: 'required',
    maxOutputTokens: 48, providerOptions: { jeju: { logit_bias: call_a_tool } },
  })
  assert(['Paris', 'Rome'].includes((await stream.toolCalls)[0].input.city))
}, LLAMA_CPP)
call('compatible_tools_refused', ({ compatible }, { model }) => refused(
  generateText({ ...brief, model: compatible(model), tools: weather, toolChoice: 'required' }), 400, 'unsupported_parameter'), EMBEDDED)
call('compatible_errors', async ({ compatible }) => {
  await refused(generateText({ ...brief, model: compatible('no-such-model') }), 404, 'model_not_found')
})

call('openai_responses', ({ openai }, { model }) => same(openai(model)))
call('openai_responses_object', async ({ openai }, { model }) => {
  const { output } = await generateText({
    ...once, model: openai.responses(model), output: Output.object({ schema: city }), prompt: ASK_JSON, maxOutputTokens: 40,
  })
  assert(['Paris', 'Rome'].includes(output.city))
}, LLAMA_CPP)
call('openai_chat', ({ openai }, { model }) => same(openai.chat(model)))
call('openai_completion', ({ openai }, { model }) => same(openai.completion(model)))
call('openai_embedding', async ({ openai }, { model }) => {
  isUnit((await embed({ model: openai.embedding(model), value: 'one', maxRetries: 0 })).embedding)
})
call('openai_logprobs', async ({ openai }, { model }) => {
  const { providerMetadata } = await generateText({ ...brief, model: openai.chat(model), providerOptions: { openai: { logprobs: 2 } } })
  assert(providerMetadata.openai.logprobs.every((entry) => entry.top_logprobs.length === 2))
})

async function refused(promise, status, code) {
  await assert.rejects(promise, (error) => {
    assert(APICallError.isInstance(error), `${error}`)
    assert.deepEqual([error.statusCode, error.data?.error.code], [status, code])
    return true
  })
}

await run(clientOf)
