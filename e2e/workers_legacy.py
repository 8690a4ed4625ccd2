"""The seventeen cases that the first Jeju Compute had for its workers, over HTTP: its JSON, its handlers with plain objects."""
import json
import re
import subprocess

from local_chain import BIN

SIMPLE = "export default { fetch(request) { return { status: 200, headers: {'Content-Type': 'text/plain'}, body: 'Hello, World!' }; } };"
ECHO = """
export default {
  fetch(request) {
    const body = request.body ? JSON.parse(request.body) : null;
    return {
      status: 200,
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ method: request.method, url: request.url, headers: request.headers, body }),
    };
  },
};"""
THROWS = "export default { fetch() { throw new Error('Intentional error'); } };"
SLOW = """export default { async fetch() {
  await new Promise(resolve => setTimeout(resolve, 10000));
  return { status: 200, body: 'too late' };
} };"""
LOGS = """export default { fetch() {
  console.log('Log message'); console.warn('Warning message'); console.error('Error message');
  return { status: 200, headers: {}, body: 'Logged' };
} };"""
ENV = "export default { fetch(request, env) { return { status: 200, headers: {}, body: env.API_KEY + ' ' + env.MODE }; } };"
JSON_POST = """export default { fetch(request) {
  const data = JSON.parse(request.body);
  return { status: 200, headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ sum: data.a + data.b }) };
} };"""


class Cases:
    """Each method is a case. Workers are left where a later case uses them."""

    def __init__(self, owner):
        self.owner = owner

    def deploy(self, name, code, **more):
        status, answer = self.owner.call("POST", "/api/v1/workers", {"name": name, "code": code, "runtime": "javascript", **more})
        assert status == 201, (status, answer)
        return answer["deployment"]

    def invoke(self, worker, body=None, signed=False):
        return self.owner.call("POST", f"/api/v1/workers/{worker}/invoke", body, signed=signed)

    def at(self, worker, what=""):
        return f"/api/v1/workers/{worker}{what}"

    # ------------------------------------------------------------------

    def deploys_a_worker(self):
        self.simple = self.deploy("Simple Worker", SIMPLE)
        assert re.fullmatch(r"worker-simple-worker-[0-9a-f]{8}", self.simple["workerId"]), self.simple
        assert (self.simple["status"], self.simple["version"]) == ("active", 1), self.simple
        assert self.simple["endpoint"] == "/workers/" + self.simple["workerId"], self.simple
        assert self.simple["deployedBy"].lower() == self.owner.account, self.simple
        self.id = self.simple["workerId"]

    def wants_name_and_code(self):
        status, answer = self.owner.call("POST", "/api/v1/workers", {"name": "Nothing"})
        assert status == 400 and answer["error"] and answer["code"], (status, answer)

    def invokes_a_worker(self):
        status, answer = self.invoke(self.id)
        assert (status, answer["status"], answer["body"]) == (200, 200, "Hello, World!"), answer
        assert {name.lower(): value for name, value in answer["headers"].items()}["content-type"] == "text/plain", answer
        execution = answer["_execution"]
        assert execution["executionId"] and execution["durationMs"] >= 0 and execution["memoryUsedMb"] > 0, answer

    def echoes_a_request(self):
        echo = self.deploy("echo", ECHO, routes=["/echo/*", "/v1/:id/exact"])
        self.echo = echo["workerId"]
        status, answer = self.invoke(self.echo, {"hello": "world"}, signed=True)
        assert status == 200, answer
        seen = json.loads(answer["body"])
        assert (status, seen["method"], seen["body"]) == (200, "POST", {"hello": "world"}), answer
        assert seen["headers"]["content-type"] == "application/json" and "/invoke" in seen["url"], seen

    def an_exception_is_an_error(self):
        worker = self.deploy("throws", THROWS)["workerId"]
        status, answer = self.invoke(worker, signed=True)
        assert (status, answer["status"]) == (500, 500) and "Intentional error" in answer["_execution"]["error"], answer
        # Nobody else reads what an exception says.
        _, answer = self.invoke(worker)
        assert "Intentional" not in json.dumps(answer), answer

    def a_slow_worker_times_out(self):
        worker = self.deploy("slow", SLOW, timeoutMs=100)["workerId"]
        status, answer = self.invoke(worker, signed=True)
        assert status == 500 and "timeout" in answer["body"].lower() and answer["_execution"]["code"] == "worker_timeout", answer

    def log_lines_come_with_the_answer(self):
        worker = self.deploy("logs", LOGS)["workerId"]
        _, answer = self.invoke(worker, signed=True)
        assert answer["_execution"]["logs"] == ["log Log message", "warn Warning message", "error Error message"], answer
        _, answer = self.invoke(worker)
        assert answer["_execution"]["logs"] == [], answer

    def variables_are_there(self):
        worker = self.deploy("env", ENV, env={"API_KEY": "test-key", "MODE": "test"})["workerId"]
        assert self.invoke(worker)[1]["body"] == "test-key test"

    def json_is_posted(self):
        worker = self.deploy("json", JSON_POST)["workerId"]
        status, answer = self.invoke(worker, {"a": 1, "b": 2})
        assert (status, json.loads(answer["body"])) == (200, {"sum": 3}), answer

    def routes_match_by_wildcard_and_parameter(self):
        for path in "/w/echo/any/thing?x=1", "/w/v1/7/exact":
            status, seen = self.owner.call("GET", path, signed=False)
            assert (status, seen["method"]) == (200, "GET") and path in seen["url"], (status, seen)
        for path in "/w/nothing", "/w/v1/7/other", "/w/v1xexact":
            status, answer = self.owner.call("GET", path, signed=False)
            assert status == 404 and answer["error"] == f"No worker found for route: {path[2:]}", answer

    def workers_are_listed(self):
        status, answer = self.owner.call("GET", "/api/v1/workers")
        found = {worker["name"]: worker for worker in answer["workers"]}
        assert status == 200 and found["Simple Worker"]["workerId"] == self.id and found["Simple Worker"]["status"] == "active", answer

    def a_worker_is_shown(self):
        status, answer = self.owner.call("GET", self.at(self.id))
        assert status == 200 and answer["worker"]["config"]["code"] == SIMPLE, answer
        assert answer["worker"]["deployment"]["codeHash"] == self.simple["codeHash"] and answer["metrics"]["totalRequests"] == 1, answer

    def a_worker_is_paused_and_resumed(self):
        assert self.owner.call("POST", self.at(self.id, "/pause")) == (200, {"success": True})
        status, answer = self.invoke(self.id)
        assert 400 <= status < 600 and "not active" in answer["error"], (status, answer)
        assert self.owner.call("POST", self.at(self.id, "/resume")) == (200, {"success": True})
        assert self.invoke(self.id)[0] == 200

    def requests_are_counted(self):
        worker = self.deploy("counted", SIMPLE + "// counted")["workerId"]
        for _ in range(3):
            assert self.invoke(worker)[0] == 200
        status, answer = self.owner.call("GET", self.at(worker, "/metrics"))
        metrics = answer["metrics"]
        assert status == 200 and (metrics["totalRequests"], metrics["totalErrors"]) == (3, 0), answer
        assert metrics["p99DurationMs"] >= metrics["p50DurationMs"] > 0 and metrics["lastInvoked"], answer

    def code_is_updated(self):
        status, answer = self.owner.call("PUT", self.at(self.id), {"code": SIMPLE.replace("World", "again")})
        deployment = answer["deployment"]
        assert status == 200 and deployment["workerId"] == self.id and deployment["version"] == 2, answer
        assert deployment["codeHash"] != self.simple["codeHash"] and self.invoke(self.id)[1]["body"] == "Hello, again!"

    def the_code_hash_is_keccak_of_the_code(self):
        found = subprocess.run([BIN / "cast", "keccak", SIMPLE], check=True, capture_output=True, text=True).stdout.strip()
        assert found == self.simple["codeHash"] and self.id.endswith(found[2:10]), (found, self.simple)

    def a_worker_is_deleted(self):
        assert self.owner.call("DELETE", self.at(self.id)) == (200, {"success": True})
        for method, what in ("GET", ""), ("POST", "/invoke"), ("GET", "/metrics"):
            status, answer = self.owner.call(method, self.at(self.id, what))
            assert status == 404 and answer["error"] == "Worker not found", (status, answer)


CASES = [name for name, case in vars(Cases).items() if callable(case) and not name.startswith("_") and name not in ("deploy", "invoke", "at")]


def check(owner):
    assert len(CASES) == 17, CASES
    cases = Cases(owner)
    for name in CASES:
        getattr(cases, name)()
    return len(CASES)
