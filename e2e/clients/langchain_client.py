"""LangChain's OpenAI package, unchanged."""
from typing import Literal

from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI, OpenAI, OpenAIEmbeddings
from openai import BadRequestError, NotFoundError
from pydantic import BaseModel, Field

from calls import ASK, ASK_JSON, ASK_WEATHER, EMBEDDED, LLAMA_CPP, call, is_close, is_unit, refused, run, wait

QUESTION = ASK[0]["content"]


class City(BaseModel):
    """A city."""
    city: Literal["Paris", "Rome"] = Field(description="its name")


@tool
def get_weather(city: Literal["Paris", "Rome"]) -> str:
    """The weather of a city."""
    return f"sunny in {city}"


def client_of(target):
    def client(kind=ChatOpenAI, **options):
        return kind(model=target.model, base_url=target.base_url, api_key=f"langchain-{target.name}", max_retries=0, **options)
    return client


def brief(client, **options):
    return client(**{"temperature": 0, "max_tokens": 12, **options})


@call()
def invoke(client, _):
    answer = brief(client).invoke(QUESTION)
    assert isinstance(answer, AIMessage) and answer.content and answer.response_metadata["finish_reason"] in ("stop", "length")
    assert answer.usage_metadata["total_tokens"] == answer.usage_metadata["input_tokens"] + answer.usage_metadata["output_tokens"]


@call()
def invoke_conversation(client, _):
    turns = [SystemMessage("Answer in one word."), HumanMessage("Hello."), AIMessage("Hello!"), HumanMessage(QUESTION)]
    assert brief(client, stop=["\n\n"], seed=1, top_p=0.9, presence_penalty=0.1, frequency_penalty=0.1).invoke(turns).content


@call()
def stream(client, _):
    whole = brief(client).invoke(QUESTION)
    pieces = list(brief(client, stream_usage=True).stream(QUESTION))
    assert "".join(piece.content for piece in pieces) == whole.content and len(pieces) > 2
    assert [piece.usage_metadata for piece in pieces if piece.usage_metadata][-1] == whole.usage_metadata


@call()
def batch(client, _):
    answers = brief(client, max_tokens=4).batch([QUESTION, "Say hello."])
    assert len(answers) == 2 and all(answer.content for answer in answers)


@call()
def asynchronous(client, _):
    async def ask():
        model = brief(client, max_tokens=4)
        whole = await model.ainvoke(QUESTION)
        return whole.content, "".join([piece.content async for piece in model.astream(QUESTION)])
    whole, streamed = wait(ask())
    assert whole == streamed


@call()
def chain(client, _):
    prompt = ChatPromptTemplate.from_messages([("system", "Answer in one word."), ("user", "What is the capital of {country}?")])
    assert isinstance((prompt | brief(client) | StrOutputParser()).invoke({"country": "Italy"}), str)


@call()
def choices(client, _):
    found = brief(client, n=2, temperature=1, seed=5).generate([[HumanMessage(QUESTION)]])
    assert len(found.generations[0]) == 2


@call()
def logprobs(client, _):
    answer = brief(client, logprobs=True, top_logprobs=2).invoke(QUESTION)
    entries = answer.response_metadata["logprobs"]["content"]
    assert "".join(entry["token"] for entry in entries) == answer.content and all(len(entry["top_logprobs"]) == 2 for entry in entries)


@call()
def json_mode(client, _):
    answer = brief(client, max_tokens=80).bind(response_format={"type": "json_object"}).invoke(ASK_JSON)
    assert answer.content.lstrip().startswith("{")


@call(LLAMA_CPP)
def structured_output(client, _):
    for method in "json_schema", "json_mode":
        found = brief(client, max_tokens=60).with_structured_output(City, method=method, include_raw=True).invoke(ASK_JSON)
        # Without a schema the model may name another city.
        assert isinstance(found["parsed"], City) or method == "json_mode" and found["raw"].content.startswith("{"), found


@call(EMBEDDED)
def structured_output_refused(client, _):
    refused(BadRequestError, lambda: brief(client).with_structured_output(City, method="json_schema").invoke(ASK_JSON), "unsupported_parameter")


@call(LLAMA_CPP)
def tools(client, target):
    bound = brief(client, max_tokens=48, logit_bias=target.call_a_tool).bind_tools([get_weather], tool_choice="any")
    answer = bound.invoke(ASK_WEATHER)
    found = answer.tool_calls[0]
    assert found["name"] == "get_weather" and found["args"]["city"] in ("Paris", "Rome")
    result = get_weather.invoke(found)
    assert isinstance(result, ToolMessage)
    assert brief(client).invoke([*ASK_WEATHER, answer, result]).content


@call(EMBEDDED)
def tools_refused(client, _):
    refused(BadRequestError, lambda: brief(client).bind_tools([get_weather], tool_choice="any").invoke(ASK_WEATHER), "unsupported_parameter")


@call()
def responses(client, _):
    model = client(temperature=0, max_tokens=12, use_responses_api=True)
    whole = model.invoke(QUESTION)
    assert whole.text and whole.usage_metadata["output_tokens"] > 0
    assert "".join(piece.text for piece in model.stream(QUESTION)) == whole.text


@call()
def completions(client, _):
    model = client(OpenAI, temperature=0, max_tokens=5)
    whole = model.invoke("Once upon a time")
    assert whole and "".join(model.stream("Once upon a time")) == whole
    assert len(model.generate(["Once upon a time", "Two plus two"]).generations) == 2


@call()
def embeddings(client, _):
    # By default the client sends token ids of a tokenizer of OpenAI's, which it would have to download.
    model = client(OpenAIEmbeddings, check_embedding_ctx_length=False)
    one, two = model.embed_documents(["one", "two"])
    is_unit(one)
    is_close(model.embed_query("two"), two)


@call()
def errors(client, target):
    refused(NotFoundError, lambda: ChatOpenAI(model="no-such-model", base_url=target.base_url, api_key="x", max_retries=0).invoke("x"), "model_not_found")
    refused(BadRequestError, lambda: client(temperature=3).invoke("x"), "invalid_value", "temperature")


run(client_of)
