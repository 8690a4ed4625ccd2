"""What the Python clients' calls share: where they go, what they ask, and one line of JSON for each of them.

    CLIENT.py TARGETS [NAME...]        TARGETS is a JSON list; of the calls, those with these names, or all"""
import asyncio
import json
import math
import sys
import time
import traceback
import types

EMBEDDED, LLAMA_CPP = "embedded", "llama_cpp"
ASK = [{"role": "user", "content": "What is the capital of France?"}]
ASK_JSON = [{"role": "user", "content": "Describe Paris as a JSON object with the keys city and country."}]
ASK_WEATHER = [{"role": "user", "content": "What is the weather in Paris?"}]
SCHEMA = {"type": "object", "properties": {"city": {"type": "string", "enum": ["Paris", "Rome"]}}, "required": ["city"],
          "additionalProperties": False}
WEATHER = {"type": "function", "function": {"name": "get_weather", "description": "The weather of a city", "parameters": SCHEMA}}
DIMENSIONS = 576
# Of the model's tokenizer.
HELLO = 19556

CALLS = []
# Of all calls: clients keep connections of one loop for the next call.
LOOP = asyncio.new_event_loop()


def call(backend=None):
    """A call of the matrix: a function of a client and a target, for one backend or for all."""
    def register(function):
        CALLS.append((function, backend))
        return function
    return register


def run(client_of):
    """Makes all calls to all targets; the exit says whether they passed."""
    failed = 0
    for values in json.loads(sys.argv[1]):
        target = types.SimpleNamespace(**values)
        client = client_of(target)
        for function, backend in CALLS:
            if backend not in (None, target.backend) or sys.argv[2:] and function.__name__ not in sys.argv[2:]:
                continue
            started = time.monotonic()
            try:
                function(client, target)
                error = None
            except Exception as found:
                failed, error = failed + 1, "".join(traceback.format_exception(found, limit=-2, chain=False))
            print(json.dumps({"target": target.name, "call": function.__name__, "error": error,
                              "seconds": round(time.monotonic() - started, 2)}), flush=True)
    sys.exit(1 if failed else 0)


def wait(coroutine):
    return LOOP.run_until_complete(coroutine)


def refused(error, function, code=None, param=None):
    """Whether a call is refused with this exception of the client, and OpenAI's error body."""
    try:
        function()
    except error as found:
        assert code is None or found.code == code, (found.code, found.body)
        assert param is None or found.param == param, (found.param, found.body)
        return found
    raise AssertionError("it was accepted")


def is_unit(vector, dimensions=DIMENSIONS):
    assert len(vector) == dimensions, len(vector)
    assert abs(math.sqrt(sum(value * value for value in vector)) - 1) < 1e-3


def is_close(one, other):
    assert len(one) == len(other) and all(abs(a - b) < 1e-5 for a, b in zip(one, other))


def is_json(choice):
    """An object, or the beginning of one where tokens ran out."""
    if choice.finish_reason == "stop":
        assert isinstance(json.loads(choice.message.content), dict)
    else:
        assert choice.finish_reason == "length" and choice.message.content.lstrip().startswith("{")
