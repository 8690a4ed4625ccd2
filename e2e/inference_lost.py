"""An upstream that is killed in the middle of streams: each of them ends with a signed error, later requests are told, and the
model is back when the upstream is."""
import http.client
import json
import signal
import ssl
import threading

from openai import APIError, OpenAI

from programs import wait_until
from signed_response import verify

CHAT = "/v1/chat/completions"
STREAMS = 3
STORY = [{"role": "user", "content": "Write a very long story about a ship."}]


class Stream:
    """A stream in a thread of its own."""

    def __init__(self, endpoint, model, number):
        self.endpoint, self.received, self.error = endpoint, b"", None
        self.body = json.dumps({"model": model, "messages": STORY, "stream": True, "max_tokens": 1500, "seed": number}).encode()
        self.thread = threading.Thread(target=self.read, daemon=True)
        self.thread.start()

    def read(self):
        try:
            if self.endpoint.tls:
                context = ssl.create_default_context(cafile=self.endpoint.node.leaf)
                connection = http.client.HTTPSConnection("localhost", self.endpoint.port, timeout=120, context=context)
            else:
                connection = http.client.HTTPConnection("localhost", self.endpoint.port, timeout=120)
            connection.request("POST", CHAT, self.body, {"content-type": "application/json"})
            response = connection.getresponse()
            self.status, self.headers = response.status, {name.lower(): value for name, value in response.getheaders()}
            while line := response.readline():
                self.received += line
        except Exception as error:
            self.error = error

    def has_tokens(self):
        return self.received.count(b"data: {") >= 5


def check(node, embedded, upstream):
    streams = [Stream(endpoint, upstream, number) for endpoint in (node.proxied, node.direct) for number in range(STREAMS)]
    client = threading.Thread(target=lambda: raised.append(error_of_client(node, upstream)), daemon=True)
    raised = []
    client.start()
    wait_until("all streams have tokens", 120, lambda: all(stream.has_tokens() for stream in streams))
    node.end(node.llama, signal.SIGKILL)
    for stream in streams:
        stream.thread.join(60)
        assert not stream.thread.is_alive(), f"{stream.endpoint.name}: a stream hangs"
        assert stream.error is None, f"{stream.endpoint.name}: {stream.error!r}"
        verify("POST", CHAT, stream.body, stream.status, stream.headers, stream.received, [node.root], ends=("error",))
        events = [json.loads(line[6:]) for line in stream.received.splitlines() if line.startswith(b"data: {")]
        assert events[-1]["error"]["code"] == "upstream_failed" and not any("error" in event for event in events[:-1]), events[-1]
    client.join(60)
    assert raised and isinstance(raised[0], APIError), raised
    return len(streams) + 1 + check_while_gone(node, embedded, upstream) + check_back(node, upstream)


def error_of_client(node, model):
    """What openai-python makes of it."""
    client = OpenAI(base_url=f"http://127.0.0.1:{node.proxy_port}/v1", api_key="lost", max_retries=0, timeout=120)
    try:
        for _ in client.chat.completions.create(model=model, messages=STORY, stream=True, max_tokens=1500):
            pass
    except Exception as error:
        return error
    return None


def ask(node, model, stream=False):
    body = {"model": model, "messages": STORY, "max_tokens": 2, "stream": stream}
    return node.direct.request("POST", CHAT, json.dumps(body).encode())


def status_of(node, model):
    return json.loads(node.direct.request("GET", f"/v1/models/{model}")[2]).get("status")


def check_while_gone(node, embedded, upstream):
    for stream in False, True:
        status, headers, answer = ask(node, upstream, stream)
        assert (status, json.loads(answer)["error"]["code"]) == (503, "upstream_unavailable"), (status, answer)
        assert int(headers["retry-after"]) > 0
    assert status_of(node, upstream) == "unavailable" and status_of(node, embedded) != "unavailable"
    assert ask(node, embedded)[0] == 200
    return 4


def check_back(node, upstream):
    node.start_llama()
    wait_until("the model is back", 90, lambda: ask(node, upstream)[0] == 200)
    assert status_of(node, upstream) != "unavailable"
    return 1
