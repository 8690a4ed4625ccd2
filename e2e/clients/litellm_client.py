"""LiteLLM, unchanged."""
import functools
import json
import os

# It would fetch prices from the net.
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"

import litellm  # noqa: E402

from calls import (ASK, ASK_JSON, ASK_WEATHER, EMBEDDED, HELLO, LLAMA_CPP, SCHEMA, WEATHER, call, is_close, is_json, is_unit, refused,  # noqa: E402
                   run, wait)

litellm.suppress_debug_info = True


def client_of(target):
    def client(function=litellm.completion, **options):
        return function(api_base=target.base_url, api_key=f"litellm-{target.name}", num_retries=0, timeout=120,
                        **{"model": f"openai/{target.model}", **options})
    return client


def chat(client, **options):
    return client(**{"messages": ASK, "max_tokens": 12, "temperature": 0, **options})


@call()
def completion(client, _):
    answer = chat(client)
    assert answer.choices[0].message.content and answer.choices[0].finish_reason in ("stop", "length")
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens


@call()
def completion_stream(client, _):
    whole = chat(client)
    chunks = list(chat(client, stream=True, stream_options={"include_usage": True}))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == whole.choices[0].message.content
    rebuilt = litellm.stream_chunk_builder(chunks, messages=ASK)
    assert rebuilt.usage.completion_tokens == whole.usage.completion_tokens


@call()
def completion_async(client, _):
    async def ask():
        answer = await chat(functools.partial(client, litellm.acompletion), max_tokens=4)
        pieces = await chat(functools.partial(client, litellm.acompletion), max_tokens=4, stream=True)
        return answer.choices[0].message.content, "".join([piece.choices[0].delta.content or "" async for piece in pieces])
    whole, streamed = wait(ask())
    assert whole == streamed


@call()
def completion_options(client, _):
    answer = chat(client, n=2, seed=1, stop=["\n\n"], top_p=0.9, temperature=0.8, presence_penalty=0.1, frequency_penalty=0.1, user="somebody")
    assert len(answer.choices) == 2


@call()
def completion_logprobs(client, _):
    choice = chat(client, logprobs=True, top_logprobs=2).choices[0]
    assert "".join(entry.token for entry in choice.logprobs.content) == choice.message.content


@call()
def completion_logit_bias(client, _):
    assert chat(client, logit_bias={str(HELLO): 100}, max_tokens=2, frequency_penalty=0).choices[0].message.content == "HelloHello"


@call()
def completion_json_object(client, _):
    is_json(chat(client, messages=ASK_JSON, response_format={"type": "json_object"}, max_tokens=80).choices[0])


@call(LLAMA_CPP)
def completion_json_schema(client, _):
    schema = {"type": "json_schema", "json_schema": {"name": "city", "schema": SCHEMA, "strict": True}}
    answer = chat(client, messages=ASK_JSON, response_format=schema, max_tokens=40)
    assert json.loads(answer.choices[0].message.content)["city"] in ("Paris", "Rome")


@call(LLAMA_CPP)
def completion_tools(client, target):
    answer = chat(client, messages=ASK_WEATHER, tools=[WEATHER], tool_choice="required", logit_bias=target.call_a_tool, max_tokens=48)
    found = answer.choices[0].message.tool_calls[0].function
    assert found.name == "get_weather" and json.loads(found.arguments)["city"] in ("Paris", "Rome")


@call(EMBEDDED)
def completion_tools_refused(client, _):
    refused(litellm.BadRequestError, lambda: chat(client, tools=[WEATHER], tool_choice="required"))


@call()
def text_completion(client, target):
    ask = functools.partial(client, litellm.text_completion, model=f"text-completion-openai/{target.model}", prompt="Once upon a time",
                            max_tokens=5, temperature=0)
    whole = ask().choices[0].text
    assert whole and "".join(chunk.choices[0].text or "" for chunk in ask(stream=True)) == whole


@call()
def embedding(client, _):
    answer = client(litellm.embedding, input=["one", "two"], encoding_format="float")
    is_unit(answer.data[0]["embedding"])
    is_close(client(litellm.embedding, input=["one"], encoding_format="float").data[0]["embedding"], answer.data[0]["embedding"])


@call()
def responses(client, _):
    ask = functools.partial(client, litellm.responses, input=ASK[0]["content"], max_output_tokens=12, temperature=0)
    whole = ask()
    text = "".join(part.text for item in whole.output for part in item.content)
    events = list(ask(stream=True))
    assert text and "".join(event.delta for event in events if event.type == "response.output_text.delta") == text


@call()
def errors(client, _):
    refused(litellm.NotFoundError, lambda: chat(client, model="openai/no-such-model"))
    refused(litellm.BadRequestError, lambda: chat(client, temperature=3))


run(client_of)
