"""openai-python, unchanged: BASE_URL and MODEL come as arguments, trust comes from SSL_CERT_FILE. `slow` leaves out what only
the client's own helpers add: each answer of an emulated node takes half a minute."""
import sys

from openai import BadRequestError, NotFoundError, OpenAI

base_url, model, *slow = sys.argv[1:]
client = OpenAI(base_url=base_url, api_key="unused", max_retries=0, timeout=300)
prompt = dict(model=model, messages=[{"role": "user", "content": "What is the capital of France?"}], max_tokens=12, temperature=0)

assert model in [entry.id for entry in client.models.list()]

raw = client.chat.completions.with_raw_response.create(**prompt)
whole = raw.parse()
assert raw.headers["jeju-claims"] and raw.headers["signature"]
assert whole.choices[0].message.content and whole.choices[0].finish_reason in ("stop", "length")
assert whole.usage.total_tokens == whole.usage.prompt_tokens + whole.usage.completion_tokens <= whole.usage.prompt_tokens + 12

text, finish, usage = "", None, None
for chunk in client.chat.completions.create(**prompt, stream=True, stream_options={"include_usage": True}):
    if chunk.choices:
        text += chunk.choices[0].delta.content or ""
        finish = chunk.choices[0].finish_reason or finish
    usage = chunk.usage or usage
assert (text, finish) == (whole.choices[0].message.content, whole.choices[0].finish_reason), (text, finish, whole)
assert usage == whole.usage, (usage, whole.usage)

if not slow:
    with client.chat.completions.stream(**prompt) as stream:
        assert "".join(event.delta for event in stream if event.type == "content.delta") == text

for wrong, error in ({"model": "no-such-model"}, NotFoundError), ({"temperature": "hot"}, BadRequestError):
    try:
        client.chat.completions.create(**{**prompt, **wrong})
    except error as refused:
        assert refused.code and refused.type == "invalid_request_error", refused.body
    else:
        raise AssertionError(f"{wrong} was accepted")
