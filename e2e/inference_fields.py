"""What the clients of the matrix don't ask for: fields that can't be served, what must not reach an upstream or come back from
it, and the lengths of events. All of it is signed."""
import http.client
import json
import time

from programs import wait_until

CHAT, COMPLETIONS, EMBEDDINGS, RESPONSES = "/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v1/responses"
ASK = [{"role": "user", "content": "Say hello."}]
BASE = {
    CHAT: {"messages": ASK, "max_tokens": 4, "temperature": 0},
    COMPLETIONS: {"prompt": "Once upon a time", "max_tokens": 4, "temperature": 0},
    EMBEDDINGS: {"input": "one"},
    RESPONSES: {"input": "Say hello.", "max_output_tokens": 4, "temperature": 0},
}
UNSUPPORTED = "unsupported_parameter"


def said(*parts):
    return {"messages": [{"role": "user", "content": list(parts)}]}


# Where, what, and the code: refused by whatever answers.
REFUSED = [
    (CHAT, {"no_such_field": 1}, UNSUPPORTED),
    (CHAT, {"web_search_options": {}}, UNSUPPORTED),
    (CHAT, {"audio": {"voice": "alloy", "format": "wav"}}, UNSUPPORTED),
    (CHAT, {"modalities": ["text", "audio"]}, UNSUPPORTED),
    (CHAT, {"functions": [{"name": "f"}]}, UNSUPPORTED),
    (CHAT, {"function_call": "auto"}, UNSUPPORTED),
    (CHAT, {"prediction": {"type": "content", "content": "x"}}, UNSUPPORTED),
    (CHAT, {"store": True}, UNSUPPORTED),
    (CHAT, {"response_format": {"type": "xml"}}, None),
    (CHAT, {"n": 5}, None),
    (CHAT, {"n": 0}, "invalid_value"),
    (CHAT, {"logprobs": True, "top_logprobs": 21}, "invalid_value"),
    (CHAT, {"top_logprobs": 2}, None),
    (CHAT, {"logit_bias": {"1": 101}}, "invalid_value"),
    (CHAT, {"logit_bias": {"hello": 1}}, None),
    (CHAT, {"logit_bias": [1]}, "invalid_type"),
    (CHAT, {"stop": ["a", "b", "c", "d", "e"]}, "invalid_value"),
    (CHAT, {"max_tokens": 0}, "invalid_value"),
    (CHAT, {"temperature": 2.1}, "invalid_value"),
    (CHAT, {"top_p": -1}, "invalid_value"),
    (CHAT, {"presence_penalty": 2.5}, "invalid_value"),
    (CHAT, {"stream_options": {"include_usage": True}}, "invalid_value"),
    (CHAT, {"stream": True, "stream_options": {"include_all": True}}, UNSUPPORTED),
    (CHAT, {"messages": []}, "invalid_value"),
    (CHAT, {"messages": [{"role": "oracle", "content": "x"}]}, None),
    (CHAT, said({"type": "image_url", "image_url": {"url": "https://example.com/cat.png"}}), None),
    (CHAT, said({"type": "image_url", "image_url": {"url": "file:///etc/passwd"}}), None),
    (CHAT, said({"type": "input_audio", "input_audio": {"data": "", "format": "wav"}}), None),
    (CHAT, said({"type": "file", "file": {"file_id": "file-1"}}), None),
    (COMPLETIONS, {"suffix": "the end"}, UNSUPPORTED),
    (COMPLETIONS, {"best_of": 2}, UNSUPPORTED),
    (COMPLETIONS, {"prompt": []}, None),
    (COMPLETIONS, {"prompt": [-1]}, None),
    (COMPLETIONS, {"prompt": [1 << 40]}, None),
    (COMPLETIONS, {"logprobs": 6}, None),
    (COMPLETIONS, {"messages": ASK}, UNSUPPORTED),
    (EMBEDDINGS, {"dimensions": 8}, None),
    (EMBEDDINGS, {"encoding_format": "int8"}, None),
    (EMBEDDINGS, {"input": []}, None),
    (EMBEDDINGS, {"input": 1}, "invalid_type"),
    (EMBEDDINGS, {"temperature": 0}, UNSUPPORTED),
    (RESPONSES, {"store": True}, None),
    (RESPONSES, {"previous_response_id": "resp_1"}, None),
    (RESPONSES, {"conversation": "conv_1"}, None),
    (RESPONSES, {"background": True}, None),
    (RESPONSES, {"no_such_field": 1}, UNSUPPORTED),
    (RESPONSES, {"tools": [{"type": "web_search"}]}, None),
    (RESPONSES, {"input": [{"role": "user", "content": [{"type": "input_image", "image_url": "https://example.com/cat.png"}]}]}, None),
]

# What says something of the caller, or of a cache that isn't kept here.
IGNORED = [
    (CHAT, {"user": "somebody", "metadata": {"a": "b"}, "service_tier": "auto", "safety_identifier": "x", "prompt_cache_key": "y"}),
    (CHAT, {"store": False, "n": 1, "logprobs": False, "response_format": {"type": "text"}, "stop": None, "seed": None}),
    (COMPLETIONS, {"user": "somebody", "best_of": 1, "echo": False, "suffix": None}),
    (EMBEDDINGS, {"user": "somebody"}),
    (RESPONSES, {"user": "somebody", "metadata": {}, "store": False, "background": False}),
]

# An upstream takes these for orders: of its caches, its templates and its slots.
NEVER_PASSED_ON = [
    {"cache_salt": "0" * 43}, {"kv_transfer_params": {}}, {"ec_transfer_params": {}}, {"priority": -1}, {"chat_template": "{{ 'x' }}"},
    {"chat_template_kwargs": {}}, {"mm_processor_kwargs": {}}, {"media_io_kwargs": {}}, {"request_id": "x"}, {"session_id": "x"},
    {"lora": []}, {"id_slot": 0}, {"samplers": []}, {"cache_prompt": True}, {"grammar": "root ::= \"x\""}, {"n_probs": 1000},
    {"return_tokens": True}, {"verbose": True}, {"timings_per_token": True},
]

# Of an upstream's own, or of other programs that may be one.
NOT_THERE = [
    ("GET", "/slots"), ("GET", "/props"), ("POST", "/props"), ("GET", "/metrics"), ("POST", "/tokenize"), ("POST", "/completion"),
    ("GET", "/lora-adapters"), ("POST", "/v1/messages"), ("POST", "/invocations"), ("POST", "/api/pull"), ("POST", "/v1/rerank"),
    ("POST", "/v1/chat/completions/../../slots"), ("GET", "/v1/models/../../slots"), ("POST", "/v1/responses/input_tokens"),
]

MEMBERS = {
    CHAT: {"id", "object", "created", "model", "choices", "usage", "system_fingerprint", "service_tier", "receipt"},
    COMPLETIONS: {"id", "object", "created", "model", "choices", "usage", "system_fingerprint", "receipt"},
    # The id is ours: receipts are asked for by it.
    EMBEDDINGS: {"id", "object", "data", "model", "usage"},
}


def check(node, embedded, upstream):
    counted = 0
    for endpoint, model in (node.proxied, embedded), (node.direct, upstream):
        for check_of in check_refused, check_ignored, check_members, check_padding, check_too_long:
            counted += check_of(endpoint, model, model == embedded)
    counted += check_not_passed_on(node.direct, upstream)
    counted += check_paths(node.direct)
    counted += check_models(node.direct, embedded, upstream)
    return counted + check_cancelled(node, upstream)


def ask(endpoint, path, model, fields):
    status, headers, answer = endpoint.request("POST", path, json.dumps({"model": model, **BASE[path], **fields}).encode())
    return status, headers, answer


def check_refused(endpoint, model, _):
    wrong = []
    for path, fields, code in REFUSED:
        status, _, answer = ask(endpoint, path, model, fields)
        error = json.loads(answer).get("error") if status != 200 else None
        if status != 400 or error["type"] != "invalid_request_error" or not error["code"] or code not in (None, error["code"]):
            wrong.append(f"{path} {fields}: {status} {error}")
    assert not wrong, "\n".join([f"{model}:", *wrong])
    return len(REFUSED)


def check_ignored(endpoint, model, _):
    for path, fields in IGNORED:
        status, _, answer = ask(endpoint, path, model, fields)
        assert status == 200, (model, path, fields, answer)
    return len(IGNORED)


def check_members(endpoint, model, embedded):
    """Nothing comes back but what the API has, under this node's names."""
    for path, members in MEMBERS.items():
        answer = json.loads(ask(endpoint, path, model, {})[2])
        assert answer["model"] == model and set(answer) <= members, (path, set(answer) - members)
        if path != EMBEDDINGS:
            # llama.cpp's own is "b0-unknown".
            assert embedded == bool(answer.get("system_fingerprint")), answer
            assert embedded == ("receipt" in answer), answer
    return len(MEMBERS)


def check_padding(endpoint, model, _):
    """Events of unlike tokens have one length, unless the client doesn't want that."""
    lengths = set()
    for word in "a", "Supercalifragilisticexpialidocious", "🦀🦀🦀":
        events = events_of(endpoint, CHAT, model, {"messages": [{"role": "user", "content": f"Repeat: {word}"}], "max_tokens": 12})
        assert all(len(event) % 256 == 0 for event in events), [len(event) for event in events]
        assert all("obfuscation" in json.loads(event[6:]) for event in events)
        lengths |= {len(event) for event in events if json.loads(event[6:])["choices"][0]["delta"].get("content")}
    assert len(lengths) == 1, lengths
    plain = events_of(endpoint, CHAT, model, {"stream_options": {"include_obfuscation": False}})
    assert not any("obfuscation" in json.loads(event[6:]) for event in plain)
    return 4


def events_of(endpoint, path, model, fields):
    status, _, answer = ask(endpoint, path, model, {"stream": True, **fields})
    assert status == 200, answer
    return [event + b"\n\n" for event in answer.split(b"\n\n") if event.startswith(b"data: {")]


def check_too_long(endpoint, model, _):
    canary = "zebra-crossing "
    for path, fields in (CHAT, {"messages": [{"role": "user", "content": canary * 3000}]}), (COMPLETIONS, {"prompt": canary * 3000}):
        status, _, answer = ask(endpoint, path, model, fields)
        error = json.loads(answer)["error"]
        assert (status, error["code"]) == (400, "context_length_exceeded") and "zebra" not in answer.decode(), (status, error)
    return 2


def check_not_passed_on(endpoint, model):
    wrong = []
    plain = json.loads(ask(endpoint, CHAT, model, {})[2])["choices"]
    for fields in NEVER_PASSED_ON:
        status, _, answer = ask(endpoint, CHAT, model, fields)
        found = json.loads(answer)
        # Either it is said that it can't be had, or it makes no difference.
        refused = status == 400 and found["error"]["code"] == UNSUPPORTED
        if not refused and not (status == 200 and found["choices"] == plain):
            wrong.append(f"{fields}: {status} {answer}")
    assert not wrong, "\n".join(wrong)
    return len(NEVER_PASSED_ON)


def check_paths(endpoint):
    for method, path in NOT_THERE:
        status, _, answer = endpoint.request(method, path, b"{}" if method == "POST" else b"")
        assert status in (404, 405) and json.loads(answer)["error"]["code"], (method, path, status, answer)
    return len(NOT_THERE)


def check_models(endpoint, embedded, upstream):
    found = {entry["id"]: entry for entry in json.loads(endpoint.request("GET", "/v1/models")[2])["data"]}
    assert set(found) == {embedded, upstream} and all(entry["confidential"] for entry in found.values()), found
    assert found[embedded]["sha256"] and found[upstream]["context_length"] == 2048, found
    return 1


def check_cancelled(node, model):
    """A client that leaves takes its request at the upstream along."""
    body = json.dumps({"model": model, "messages": [{"role": "user", "content": "Write a long story about a ship."}], "stream": True,
                       "max_tokens": 1500}).encode()
    connection = http.client.HTTPConnection("127.0.0.1", node.proxy_port, timeout=60)
    connection.request("POST", CHAT, body, {"content-type": "application/json"})
    response = connection.getresponse()
    response.readline()
    wait_until("it is at work", 20, lambda: busy_slots(node))
    response.close()
    connection.close()
    deadline = time.monotonic() + 20
    while busy_slots(node):
        assert time.monotonic() < deadline, "llama.cpp still works for a client that left"
        time.sleep(0.1)
    return 1


def busy_slots(node):
    connection = http.client.HTTPConnection("127.0.0.1", node.llama_port, timeout=20)
    connection.request("GET", "/slots")
    return sum(slot["is_processing"] for slot in json.loads(connection.getresponse().read()))
