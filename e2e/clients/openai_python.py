"""openai-python, unchanged."""
import asyncio
import json
from typing import Literal

from openai import AsyncOpenAI, BadRequestError, NotFoundError, OpenAI
from pydantic import BaseModel

from calls import (ASK, ASK_JSON, ASK_WEATHER, DIMENSIONS, EMBEDDED, HELLO, LLAMA_CPP, WEATHER, call, is_close, is_json, is_unit, refused,
                   run, wait)

GREEDY = {"messages": ASK, "max_tokens": 12, "temperature": 0}


class City(BaseModel):
    city: Literal["Paris", "Rome"]


def client_of(target):
    return OpenAI(base_url=target.base_url, api_key=f"python-{target.name}", max_retries=0, timeout=120)


def chat(client, target, **changes):
    return client.chat.completions.create(**{"model": target.model, **GREEDY, **changes})


def text_of(chunks):
    return "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)


@call()
def models_list(client, target):
    assert target.model in [entry.id for entry in client.models.list()]


@call()
def models_retrieve(client, target):
    found = client.models.retrieve(target.model)
    assert found.object == "model" and found.created and found.owned_by.startswith("0x")
    assert found.model_extra["confidential"] is True
    assert set(found.model_extra["endpoints"]) >= {"chat", "completions", "embeddings"}


@call()
def models_retrieve_unknown(client, target):
    refused(NotFoundError, lambda: client.models.retrieve("no-such-model"), "model_not_found")


@call()
def chat_whole(client, target):
    raw = client.chat.completions.with_raw_response.create(model=target.model, **GREEDY)
    assert raw.headers["jeju-claims"] and raw.headers["signature"]
    answer = raw.parse()
    assert answer.object == "chat.completion" and answer.model == target.model and answer.id.startswith("chatcmpl-")
    choice = answer.choices[0]
    assert choice.message.role == "assistant" and choice.message.content and choice.finish_reason in ("stop", "length")
    usage = answer.usage
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens and usage.completion_tokens <= 12
    assert usage.prompt_tokens_details.cached_tokens == 0


@call()
def chat_stream(client, target):
    whole = chat(client, target)
    chunks = list(chat(client, target, stream=True, stream_options={"include_usage": True}))
    assert text_of(chunks) == whole.choices[0].message.content
    assert len({chunk.id for chunk in chunks}) == 1 and all(chunk.model == target.model for chunk in chunks)
    assert [choice.finish_reason for chunk in chunks for choice in chunk.choices if choice.finish_reason] == [whole.choices[0].finish_reason]
    assert not chunks[-1].choices and chunks[-1].usage == whole.usage
    assert all(chunk.usage is None for chunk in chunks[:-1])


@call()
def chat_stream_without_usage(client, target):
    assert all(chunk.usage is None for chunk in chat(client, target, stream=True))


@call()
def chat_stream_helper(client, target):
    with client.chat.completions.stream(model=target.model, **GREEDY) as stream:
        text = "".join(event.delta for event in stream if event.type == "content.delta")
        # An answer that was cut has no final completion.
        assert text and text == stream.current_completion_snapshot.choices[0].message.content


@call()
def chat_stream_left_early(client, target):
    with chat(client, target, stream=True, max_tokens=200) as stream:
        next(stream)
    assert chat(client, target).choices[0].message.content


@call()
def chat_async(_, target):
    async def ask():
        async with AsyncOpenAI(base_url=target.base_url, api_key=f"async-{target.name}", max_retries=0, timeout=120) as client:
            answers = [client.chat.completions.create(model=target.model, **{**GREEDY, "max_tokens": 6}) for _ in range(3)]
            return {answer.choices[0].message.content for answer in await asyncio.gather(*answers)}
    answers = wait(ask())
    # llama.cpp's answers may change with what else is in a batch.
    assert len(answers) == 1 or target.backend == LLAMA_CPP, answers


@call()
def chat_conversation(client, target):
    turns = [{"role": "developer", "content": "Answer in one word."}, {"role": "user", "content": [{"type": "text", "text": "Hello,"},
             {"type": "text", "text": " you."}]}, {"role": "assistant", "content": "Hello!"}, {"role": "user", "content": "Say it again."}]
    assert chat(client, target, messages=turns).choices[0].message.content


@call()
def chat_choices(client, target):
    answer = chat(client, target, n=3, temperature=1, seed=7, max_tokens=6)
    assert sorted(choice.index for choice in answer.choices) == [0, 1, 2] and len({choice.message.content for choice in answer.choices}) > 1
    # llama.cpp counts one answer of them.
    assert answer.usage.completion_tokens > 6 or target.backend == LLAMA_CPP


@call(EMBEDDED)
def chat_seed(client, target):
    ask = {"n": 2, "temperature": 1, "seed": 7, "max_tokens": 6}
    once, again = ([choice.message.content for choice in chat(client, target, **ask).choices] for _ in range(2))
    assert once == again
    assert once != [choice.message.content for choice in chat(client, target, **{**ask, "seed": 8}).choices]


@call()
def chat_choices_stream(client, target):
    chunks = list(chat(client, target, n=2, stream=True, max_tokens=4))
    ends = [choice.index for chunk in chunks for choice in chunk.choices if choice.finish_reason]
    assert sorted(ends) == [0, 1], ends


@call()
def chat_stop(client, target):
    whole = chat(client, target).choices[0].message.content
    word = whole.split()[2]
    answer = chat(client, target, stop=[word]).choices[0]
    assert answer.finish_reason == "stop" and answer.message.content == whole[:whole.index(word)], (whole, answer)
    stream = list(chat(client, target, stop=word, stream=True))
    assert text_of(stream) == answer.message.content


@call()
def chat_logprobs(client, target):
    answer = chat(client, target, logprobs=True, top_logprobs=3)
    content = answer.choices[0].logprobs.content
    assert len(content) == answer.usage.completion_tokens or answer.choices[0].finish_reason == "stop"
    assert b"".join(bytes(entry.bytes) for entry in content).decode() == answer.choices[0].message.content
    for entry in content:
        top = [other.logprob for other in entry.top_logprobs]
        # Greedy: the token is the most probable one, up to a penalty that a model may have by default.
        assert len(top) == 3 and top == sorted(top, reverse=True) and top[0] >= entry.logprob - 1e-6 and entry.logprob <= 0


@call()
def chat_logprobs_stream(client, target):
    whole = chat(client, target, logprobs=True).choices[0].logprobs.content
    chunks = list(chat(client, target, logprobs=True, stream=True))
    streamed = [entry for chunk in chunks for choice in chunk.choices if choice.logprobs for entry in choice.logprobs.content]
    # llama.cpp's whole answers also tell the token that ends them, which has no text.
    whole = [entry for entry in whole if entry.bytes]
    assert [entry.token for entry in streamed] == [entry.token for entry in whole]
    assert max(abs(one.logprob - other.logprob) for one, other in zip(streamed, whole)) < 0.05


@call()
def chat_logit_bias(client, target):
    answer = chat(client, target, logit_bias={str(HELLO): 100}, max_tokens=3, frequency_penalty=0)
    assert answer.choices[0].message.content == "HelloHelloHello", answer.choices[0].message.content


@call()
def chat_penalties(client, target):
    ask = {"messages": [{"role": "user", "content": "Write the word one ten times."}], "max_tokens": 16}
    plain = chat(client, target, **ask, frequency_penalty=0, presence_penalty=0).choices[0].message.content
    assert plain != chat(client, target, **ask, frequency_penalty=2, presence_penalty=2).choices[0].message.content


@call()
def chat_max_completion_tokens(client, target):
    answer = client.chat.completions.create(model=target.model, messages=ASK, max_completion_tokens=2, temperature=0.5, top_p=0.9)
    assert answer.usage.completion_tokens == 2 and answer.choices[0].finish_reason == "length"


@call()
def chat_json_object(client, target):
    is_json(chat(client, target, messages=ASK_JSON, response_format={"type": "json_object"}, max_tokens=80).choices[0])


@call(LLAMA_CPP)
def chat_json_schema(client, target):
    answer = client.chat.completions.parse(model=target.model, messages=ASK_JSON, response_format=City, max_tokens=40, temperature=0)
    assert answer.choices[0].message.parsed.city in ("Paris", "Rome")


@call(EMBEDDED)
def chat_json_schema_refused(client, target):
    refused(BadRequestError, lambda: client.chat.completions.parse(model=target.model, messages=ASK_JSON, response_format=City),
            "unsupported_parameter", "response_format")


@call(LLAMA_CPP)
def chat_tools(client, target):
    answer = chat(client, target, messages=ASK_WEATHER, tools=[WEATHER], tool_choice="required", logit_bias=target.call_a_tool, max_tokens=48)
    choice = answer.choices[0]
    assert choice.finish_reason == "tool_calls", choice
    found = choice.message.tool_calls[0]
    assert found.id and found.function.name == "get_weather" and json.loads(found.function.arguments)["city"] in ("Paris", "Rome")
    told = [*ASK_WEATHER, choice.message, {"role": "tool", "tool_call_id": found.id, "content": "sunny"}]
    assert chat(client, target, messages=told, tools=[WEATHER]).choices[0].message.content


@call(LLAMA_CPP)
def chat_tools_stream(client, target):
    chunks = list(chat(client, target, messages=ASK_WEATHER, tools=[WEATHER], tool_choice="required", logit_bias=target.call_a_tool,
                       max_tokens=48, stream=True))
    calls = [part for chunk in chunks for choice in chunk.choices for part in choice.delta.tool_calls or []]
    assert calls[0].id and calls[0].function.name == "get_weather" and {part.index for part in calls} == {0}
    assert json.loads("".join(part.function.arguments for part in calls))["city"] in ("Paris", "Rome")


@call(EMBEDDED)
def chat_tools_refused(client, target):
    refused(BadRequestError, lambda: chat(client, target, tools=[WEATHER], tool_choice="required"), "unsupported_parameter")


@call(EMBEDDED)
def chat_tools_none(client, target):
    assert chat(client, target, tools=[WEATHER], tool_choice="none").choices[0].message.content


@call()
def completions_whole(client, target):
    answer = client.completions.create(model=target.model, prompt="Once upon a time", max_tokens=6, temperature=0)
    assert answer.object == "text_completion" and answer.model == target.model and answer.choices[0].text
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens


@call()
def completions_stream(client, target):
    ask = {"model": target.model, "prompt": "Once upon a time", "max_tokens": 6, "temperature": 0}
    whole = client.completions.create(**ask)
    chunks = list(client.completions.create(**ask, stream=True, stream_options={"include_usage": True}))
    assert "".join(choice.text for chunk in chunks for choice in chunk.choices) == whole.choices[0].text
    assert chunks[-1].usage == whole.usage


@call()
def completions_prompts(client, target):
    answer = client.completions.create(model=target.model, prompt=["Once upon a time", "Two plus two"], max_tokens=3, temperature=0)
    assert sorted(choice.index for choice in answer.choices) == [0, 1]
    assert answer.choices[0].text != answer.choices[1].text


@call()
def completions_token_ids(client, target):
    answer = client.completions.create(model=target.model, prompt=[HELLO], max_tokens=3, temperature=0)
    same = client.completions.create(model=target.model, prompt="Hello", max_tokens=3, temperature=0)
    assert answer.choices[0].text == same.choices[0].text and answer.usage.prompt_tokens == 1


@call(EMBEDDED)
def completions_echo(client, target):
    answer = client.completions.create(model=target.model, prompt="Once upon a time", echo=True, max_tokens=3, temperature=0, n=2, stop=["\n"])
    assert all(choice.text.startswith("Once upon a time") for choice in answer.choices) and len(answer.choices) == 2


@call(LLAMA_CPP)
def completions_echo_refused(client, target):
    refused(BadRequestError, lambda: client.completions.create(model=target.model, prompt="Once", echo=True, max_tokens=2), "unsupported_parameter", "echo")


@call()
def completions_logprobs(client, target):
    answer = client.completions.create(model=target.model, prompt="Once upon a time", logprobs=2, max_tokens=3, temperature=0)
    found = answer.choices[0].logprobs
    assert len(found.tokens) == len(found.token_logprobs) == len(found.top_logprobs) == len(found.text_offset) == 3, found
    assert "".join(found.tokens) == answer.choices[0].text and all(len(top) >= 2 for top in found.top_logprobs)


@call()
def completions_refused(client, target):
    for wrong in {"suffix": "the end"}, {"best_of": 2}:
        refused(BadRequestError, lambda: client.completions.create(model=target.model, prompt="Once", max_tokens=2, **wrong),
                "unsupported_parameter", next(iter(wrong)))


@call()
def embeddings_text(client, target):
    # The client asks for base64 by itself.
    answer = client.embeddings.create(model=target.model, input="The quick brown fox")
    assert answer.object == "list" and answer.model == target.model and answer.usage.prompt_tokens > 0
    is_unit(answer.data[0].embedding)
    floats = client.embeddings.create(model=target.model, input="The quick brown fox", encoding_format="float")
    is_close(answer.data[0].embedding, floats.data[0].embedding)


@call()
def embeddings_several(client, target):
    answer = client.embeddings.create(model=target.model, input=["A cat sat on a mat.", "A cat sat on the mat.", "Interest rates rose by 2 %."])
    assert [entry.index for entry in answer.data] == [0, 1, 2]
    one, near, far = (entry.embedding for entry in answer.data)
    cosine = lambda a, b: sum(x * y for x, y in zip(a, b))  # noqa: E731
    assert cosine(one, near) > cosine(one, far)


@call()
def embeddings_token_ids(client, target):
    by_ids = client.embeddings.create(model=target.model, input=[[HELLO]], encoding_format="float").data[0].embedding
    by_text = client.embeddings.create(model=target.model, input=["Hello"], encoding_format="float").data[0].embedding
    is_close(by_ids, by_text)


@call()
def embeddings_dimensions(client, target):
    refused(BadRequestError, lambda: client.embeddings.create(model=target.model, input="x", dimensions=DIMENSIONS // 2))


@call()
def responses_whole(client, target):
    answer = client.responses.create(model=target.model, input="What is the capital of France?", max_output_tokens=64, temperature=0)
    assert answer.object == "response" and answer.id.startswith("resp_") and answer.model == target.model
    assert answer.output_text and answer.status in ("completed", "incomplete") and answer.store is not True
    assert answer.usage.total_tokens == answer.usage.input_tokens + answer.usage.output_tokens
    assert answer.usage.input_tokens_details.cached_tokens == 0


@call()
def responses_items(client, target):
    items = [{"role": "user", "content": [{"type": "input_text", "text": "Hello."}]}, {"role": "assistant", "content": "Hello!"},
             {"type": "message", "role": "user", "content": "What is the capital of France?"}]
    answer = client.responses.create(model=target.model, instructions="Answer in one word.", input=items, max_output_tokens=16, temperature=0,
                                     store=False)
    assert answer.output_text and answer.output[0].type == "message" and answer.output[0].role == "assistant"


@call()
def responses_incomplete(client, target):
    answer = client.responses.create(model=target.model, input="Write a long story.", max_output_tokens=3, temperature=0)
    assert answer.status == "incomplete" and answer.incomplete_details.reason == "max_output_tokens"


@call()
def responses_stream(client, target):
    ask = {"model": target.model, "input": "What is the capital of France?", "max_output_tokens": 12, "temperature": 0}
    whole = client.responses.create(**ask)
    events = list(client.responses.create(**ask, stream=True))
    kinds = [event.type for event in events]
    assert kinds[:4] == ["response.created", "response.in_progress", "response.output_item.added", "response.content_part.added"], kinds
    assert kinds[-4:-1] == ["response.output_text.done", "response.content_part.done", "response.output_item.done"], kinds
    assert kinds[-1] in ("response.completed", "response.incomplete") and set(kinds[4:-4]) == {"response.output_text.delta"}
    assert [event.sequence_number for event in events] == list(range(len(events)))
    text = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    assert text == whole.output_text == events[-1].response.output_text
    assert events[-1].response.usage == whole.usage


@call()
def responses_stream_helper(client, target):
    with client.responses.stream(model=target.model, input="Say hello.", max_output_tokens=8, temperature=0) as stream:
        text = "".join(event.delta for event in stream if event.type == "response.output_text.delta")
        # Where the answer was cut, the helper has no final response.
        assert text


@call()
def responses_json_object(client, target):
    answer = client.responses.create(model=target.model, input=ASK_JSON[0]["content"], text={"format": {"type": "json_object"}},
                                     max_output_tokens=80, temperature=0)
    assert answer.output_text.lstrip().startswith("{")
    if answer.status == "completed":
        assert isinstance(json.loads(answer.output_text), dict)


@call(LLAMA_CPP)
def responses_json_schema(client, target):
    answer = client.responses.parse(model=target.model, input=ASK_JSON[0]["content"], text_format=City, max_output_tokens=40, temperature=0)
    assert answer.output_parsed.city in ("Paris", "Rome")


@call(LLAMA_CPP)
def responses_tool_results(client, target):
    tools = [{"type": "function", **WEATHER["function"], "strict": True}]
    items = [*ASK_WEATHER, {"type": "function_call", "call_id": "call_1", "name": "get_weather", "arguments": '{"city": "Paris"}'},
             {"type": "function_call_output", "call_id": "call_1", "output": "sunny"}]
    answer = client.responses.create(model=target.model, input=items, tools=tools, max_output_tokens=16, temperature=0)
    assert answer.output_text and answer.tools[0].name == "get_weather"


@call()
def responses_refused(client, target):
    wrong = [{"store": True}, {"previous_response_id": "resp_1"}, {"conversation": "conv_1"}, {"background": True}]
    for fields in wrong:
        refused(BadRequestError, lambda: client.responses.create(model=target.model, input="Hello.", max_output_tokens=2, **fields), None,
                next(iter(fields)))


@call()
def errors(client, target):
    wrong = [({"model": "no-such-model"}, NotFoundError, "model_not_found"), ({"temperature": "hot"}, BadRequestError, "invalid_type"),
             ({"temperature": 5}, BadRequestError, "invalid_value"), ({"messages": []}, BadRequestError, "invalid_value"),
             ({"extra_body": {"best_wishes": 1}}, BadRequestError, "unsupported_parameter")]
    for fields, error, code in wrong:
        found = refused(error, lambda: chat(client, target, **fields), code)
        assert found.type == "invalid_request_error" and found.message


run(client_of)
