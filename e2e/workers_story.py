"""What an owner does with workers: from a template to a request that curl and node send, versions, secrets, logs, schedules, and
a node that comes back."""
import base64
import http.client
import json
import os
import re
import signal
import ssl
import subprocess
import threading

from programs import ROOT, arguments, free_port, wait_for_port
from signed_response import sha256, verify
from workers_node import eventually

MODULES = ROOT / "e2e/node_modules"
README = "export default { async fetch(request, env) { return new Response('Hello from Jeju!'); } };"
SECRETIVE = """export default { async fetch(request, env) {
  const digest = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(env.TOKEN ?? ''));
  return Response.json({ known: Object.keys(env).sort(), digest: btoa(String.fromCharCode(...new Uint8Array(digest))) });
} };"""
# Answers from every place that a bundle of npm packages has.
PACKAGES = """import { z } from 'zod';
import data from './data.json';
const Body = z.object({ count: z.number().int() });
export default { async fetch(request: Request): Promise<Response> {
  const parsed = Body.safeParse(await request.json());
  return Response.json({ ok: parsed.success, count: parsed.data?.count, name: data.name });
} };"""
STREAM = """export default { fetch() {
  const encoder = new TextEncoder();
  let n = 0;
  const body = new ReadableStream({
    pull(controller) {
      if (n === 3) return controller.close();
      controller.enqueue(encoder.encode(`data: ${n++}\\n\\n`));
    },
  });
  return new Response(body, { headers: { 'content-type': 'text/event-stream' } });
} };"""
REACHES_OUT = """export default { async fetch(request) {
  try {
    const response = await fetch(await request.text());
    return Response.json({ status: response.status });
  } catch (error) {
    return Response.json({ error: error.name, code: error.code ?? error.cause?.code });
  }
} };"""


def digest(text):
    return base64.b64encode(sha256(text.encode())).decode()


class Story:
    def __init__(self, node, owner, stranger):
        self.node, self.owner, self.stranger = node, owner, stranger
        self.folder = node.state / "projects"
        self.folder.mkdir()

    def project(self, name):
        """A folder of a project whose main module is main.ts."""
        folder = self.folder / name
        folder.mkdir()
        (folder / "jeju-worker.toml").write_text(f'name = "{name}"\nmain = "main.ts"\n')
        return folder

    def file(self, name, text):
        path = self.folder / name
        path.write_text(text)
        return path

    def invoke(self, worker, *options):
        return self.owner.worker("invoke", worker, *options)

    def get(self, path, method="GET", body=b""):
        """Of anybody without a wallet; the signature is checked by code that shares nothing with the client."""
        context = ssl.create_default_context(cafile=self.node.leaf)
        connection = http.client.HTTPSConnection("localhost", self.node.workers_port, timeout=60, context=context)
        connection.request(method, path, body)
        response = connection.getresponse()
        answer = response.read()
        headers = {name.lower(): value for name, value in response.getheaders()}
        connection.close()
        verify(method, path, body, response.status, headers, answer, [self.node.root], worker=True)
        return response.status, headers, answer

    # ------------------------------------------------------------------ parts, in this order

    def schedule(self):
        """Deployed first, so that it is due before the end."""
        self.cron = self.folder / "clock"
        self.owner_init("cron", self.cron)
        manifest = self.cron / "jeju-worker.toml"
        manifest.write_text(manifest.read_text().replace("*/5", "*"))
        self.owner.worker("deploy", self.cron)
        ran = self.owner.worker("cron", "clock", "--run")["_execution"]
        assert "error" not in ran and any("ran for" in line for line in ran["logs"]), ran
        shown = self.owner.worker("cron", "clock")
        assert shown["cronSchedule"] == "* * * * *" and shown["next"] % 60_000 == 0, shown

    def owner_init(self, template, folder):
        subprocess.run(arguments([self.node.program("jeju"), "worker", "init", "--template", template, folder]), check=True, capture_output=True)

    def readme(self):
        """The first README's example, from a file, to curl and node."""
        hello = self.file("hello.js", README)
        deployed = self.owner.worker("deploy", hello, "--route", "/hello")["deployment"]
        self.hello = deployed["workerId"]
        assert deployed["version"] == 1, deployed
        answer = self.invoke("hello")
        assert (answer["status"], answer["body"]) == (200, "Hello from Jeju!"), answer
        assert answer["worker"] == {"id": self.hello, "version": 1, "codeHash": deployed["codeHash"]}, answer
        assert self.get("/w/hello")[2] == b"Hello from Jeju!"
        url = f"{self.node.workers_url}/w/hello"
        curl = subprocess.run(arguments(["curl", "--silent", "--show-error", "--fail", "--max-time", 60, "--cacert", self.node.leaf, url]),
                              check=True, capture_output=True, text=True).stdout
        script = f"const r = await fetch('{url}'); process.stdout.write(await r.text())"
        fetched = subprocess.run(["node", "--input-type=module", "--eval", script], check=True, capture_output=True, text=True,
                                 env=self.node.environment()).stdout
        assert curl == fetched == "Hello from Jeju!", (curl, fetched)

    def traces(self):
        """An owner sees logs and use; a stack has the lines of the sources that were deployed."""
        folder = self.project("stack")
        (folder / "main.ts").write_text("import { fail } from './fail';\n\ninterface Never {\n  a: string;\n}\n\n"
                                        "export default { fetch(request: Request): Never {\n  console.log('before', request.method);\n"
                                        "  return fail();\n} };\n")
        (folder / "fail.ts").write_text("type Nothing = never;\n\nexport function fail(): Nothing {\n  throw new TypeError('told to');\n}\n")
        self.owner.worker("deploy", folder)
        traced = self.owner.worker("invoke", "stack", "--trace")
        execution = traced["_execution"]
        assert traced["status"] == 500 and execution["code"] == "worker_exception" and "told to" in execution["error"], traced
        assert re.search(r"fail\.ts:4", execution["stack"]) and re.search(r"main\.ts:9", execution["stack"]), execution
        assert any(line == "log before POST" for line in execution["logs"]), execution

    def typescript(self):
        """The template, checked by tsc against the types that it brings."""
        folder = self.folder / "greeter"
        self.owner_init("typescript", folder)
        subprocess.run([MODULES / ".bin/tsc", "--project", folder], check=True)
        self.owner.worker("deploy", folder, "--env", "GREETING=Good day")
        _, headers, answer = self.get("/w/greet/Ada")
        assert json.loads(answer) == {"message": "Good day, Ada!"}, answer
        assert headers["content-type"].startswith("application/json"), headers

    def packages(self):
        """A project with packages goes through its own esbuild."""
        folder = self.project("packages")
        (folder / "main.ts").write_text(PACKAGES)
        (folder / "data.json").write_text('{"name": "data"}')
        assert self.owner.refused("deploy", folder) == "bundler_missing"
        (folder / "node_modules").symlink_to(MODULES)
        self.owner.worker("deploy", folder)
        answer = self.invoke("packages", "--data", '{"count": 3}')
        assert json.loads(answer["body"]) == {"ok": True, "count": 3, "name": "data"}, answer
        assert json.loads(self.invoke("packages", "--data", '{"count": "3"}')["body"])["ok"] is False

    def versions(self):
        hello = self.file("hello.js", README.replace("Hello", "Goodbye"))
        deployed = self.owner.worker("deploy", hello, "--route", "/hello")["deployment"]
        assert (deployed["workerId"], deployed["version"]) == (self.hello, 2), deployed
        assert self.get("/w/hello")[2] == b"Goodbye from Jeju!"
        back = self.owner.worker("rollback", "hello")["deployment"]
        assert back["version"] == 1, back
        answer = self.invoke("hello")
        assert answer["body"] == "Hello from Jeju!" and answer["worker"]["version"] == 1, answer
        versions = self.owner.worker("versions", "hello")["versions"]
        assert [(v["version"], v["active"]) for v in versions] == [(2, False), (1, True)], versions
        self.owner.worker("pause", "hello")
        assert self.owner.refused("invoke", "hello") == "worker_not_active"
        self.owner.worker("resume", "hello")

    def secrets(self):
        """A value is sealed to the verified enclave; nobody reads it back."""
        self.value = "secret-" + os.urandom(8).hex()
        self.owner.worker("deploy", self.file("secretive.js", SECRETIVE), "--env", "PLAIN=1")
        assert self.known() == (["PLAIN"], digest(""))
        self.owner.worker("secret", "put", "secretive", "TOKEN", data=self.value + "\n")
        assert self.known() == (["PLAIN", "TOKEN"], digest(self.value))
        self.owner.worker("secret", "put", "secretive", "OTHER", data="x")
        self.owner.worker("secret", "delete", "secretive", "OTHER")
        listed = self.owner.worker("secret", "list", "secretive")["secrets"]
        assert [secret["name"] for secret in listed] == ["TOKEN"], listed
        shown = self.owner.call("GET", f"/api/v1/workers/{self.id('secretive')}")
        assert self.value not in json.dumps(shown) and shown[1]["worker"]["config"]["secrets"] == ["TOKEN"], shown
        assert self.owner.refused("secret", "put", "none", "TOKEN", data="x") == "worker_unknown"

    def known(self):
        answer = json.loads(self.invoke("secretive")["body"])
        return answer["known"], answer["digest"]

    def id(self, name):
        return next(worker["workerId"] for worker in self.owner.worker("list")["workers"] if worker["name"] == name)

    def logs(self):
        logger = self.file("logger.js", "export default { fetch(r) { console.warn('seen', new URL(r.url).searchParams.get('n')); return new Response(); } };")
        self.owner.worker("deploy", logger)
        self.invoke("logger", "--path", "/?n=1")
        lines = self.owner.worker("logs", "logger")
        assert [(line["level"], line["text"]) for line in lines["logs"]] == [("warn", "seen 1")], lines
        assert self.owner.worker("logs", "logger", "--since", lines["next"])["logs"] == []
        tail = subprocess.Popen([*self.owner.command("tail", "logger", "--since", str(lines["next"])), "--json"], stdout=subprocess.PIPE, text=True)
        try:
            self.invoke("logger", "--path", "/?n=2")
            watchdog = threading.Timer(60, tail.kill)
            watchdog.start()
            line = json.loads(tail.stdout.readline() or "null")
            watchdog.cancel()
            assert line and line["text"] == "seen 2", line
        finally:
            tail.send_signal(signal.SIGINT)
            assert tail.wait(30) in (0, -signal.SIGINT), tail.returncode

    def streams(self):
        self.owner.worker("deploy", self.file("stream.js", STREAM), "--route", "/stream")
        _, _, answer = self.get("/w/stream")
        assert answer.startswith(b"data: 0\n\ndata: 1\n\ndata: 2\n\n"), answer
        assert self.invoke("stream")["body"].startswith("data: 0\n\ndata: 1\n\ndata: 2\n\n")

    def strangers(self):
        """Code, variables and logs are the owner's; so is deploying over a route. Requests are anybody's."""
        for command in ["get"], ["logs"], ["delete"], ["pause"], ["secret", "list"], ["metrics"]:
            assert self.stranger.refused(*command, self.hello) == "worker_unknown", command
        assert self.stranger.worker("list")["workers"] == []
        for method, what in ("GET", ""), ("GET", "/logs"), ("DELETE", "/secrets/A"), ("POST", "/rollback"):
            path = f"/api/v1/workers/{self.hello}{what}"
            document = {"version": 1} if what == "/rollback" else None
            status, answer = self.stranger.call(method, path, document)
            assert status == 404, (method, what, answer)
            assert self.stranger.call(method, path, document, signed=False)[0] == 401, (method, what)
        # As the first nodes had it: what isn't there for somebody is deleted. It still is for its owner.
        assert self.stranger.call("DELETE", f"/api/v1/workers/{self.hello}") == (200, {"success": True})
        assert self.stranger.worker("invoke", self.hello)["body"] == "Hello from Jeju!"
        taken = self.file("thief.js", README)
        assert self.stranger.refused("deploy", taken, "--route", "/hello") == "worker_route_taken"

    def refusals(self):
        """Wrong code never becomes a version, and nothing is asked of a node that isn't verified."""
        assert self.owner.refused("deploy", self.file("broken.js", "export default {")) == "worker_syntax_error"
        assert self.owner.refused("deploy", self.file("lost.js", "import './nowhere.js'; export default {}")) == "worker_import_not_found"
        throws = self.file("throws.js", "throw new Error('at once')")
        assert self.owner.refused("deploy", throws) == "worker_module_failed"
        strict = self.node.state / "strict.toml"
        strict.write_text(self.node.policy.read_text().replace('workers = ["public"]', 'workers = ["none"]'))
        done = subprocess.run(arguments([self.node.program("jeju"), "worker", "list", "--json", "--node", self.node.workers_url, "--policy", strict,
                                         "--development", "--key", self.owner.key_file]), capture_output=True, text=True)
        assert done.returncode == 2, done

    def reaching_out(self):
        """Neither the machine, nor its network, nor the node itself can be reached, by whatever name."""
        self.owner.worker("deploy", self.file("out.js", REACHES_OUT))
        ports = [self.node.chain.port, self.node.workers_port]
        for url in ["http://169.254.169.254/latest/meta-data", "http://10.0.0.1/", "http://[::1]/", "http://[::ffff:127.0.0.1]/",
                    "http://2130706433/", "http://metadata.google.internal/", *(f"http://{host}:{port}/" for host in ("localhost", "127.0.0.1") for port in ports)]:
            answer = json.loads(self.invoke("out", "--data", url)["body"])
            assert "error" in answer and answer["code"] == "fetch_not_allowed", (url, answer)

    def types(self):
        """What the types promise is there, and tsc takes the templates and the types themselves."""
        types = ROOT / "client/worker-types"
        subprocess.run(arguments([MODULES / ".bin/tsc", "--noEmit", "--strict", "--target", "es2023", "--lib", "es2023", "--module", "es2022",
                                  "--types", "", types / "check.ts", types / "index.d.ts"]), check=True)
        declared = set()
        for file in types.glob("*.d.ts"):
            declared |= set(re.findall(r"^declare (?:var|function) (\w+)", file.read_text(), re.M))
        code = f"const names = {json.dumps(sorted(declared))};\n" \
               "export default { fetch: () => Response.json(names.filter(name => typeof globalThis[name] === 'undefined')) };"
        self.owner.worker("deploy", self.file("globals.js", code))
        missing = json.loads(self.invoke("globals")["body"])
        assert len(declared) > 50 and missing == [], missing

    def dev(self):
        """The same project on this machine, and again at a change."""
        port = free_port()
        project = self.folder / "local"
        self.owner_init("typescript", project)
        process = self.node.spawn("dev", self.node.program("jeju"), "worker", "dev", project, "--listen", f"127.0.0.1:{port}")
        wait_for_port(port, 30)

        def asked():
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
            connection.request("GET", "/greet/Bob")
            return json.loads(connection.getresponse().read())["message"]
        assert asked() == "Hello, Bob!"
        greet = project / "src/greet.ts"
        greet.write_text(greet.read_text().replace("}!", "}?"))
        eventually("the change is served", 20, lambda: asked() == "Hello, Bob?")
        # What doesn't parse changes nothing.
        text = greet.read_text()
        greet.write_text(text + "}")
        eventually("the mistake is told", 20, lambda: "worker_syntax_error" in (self.node.state / "dev.log").read_text())
        assert asked() == "Hello, Bob?"
        greet.write_text(text)
        self.node.end(process)

    def comes_back(self):
        """Workers, versions, secrets and schedules survive the node, and the schedule has fired by itself."""
        eventually("the schedule fires", 75, lambda: self.owner.worker("metrics", "clock")["metrics"]["scheduledRuns"] >= 2)
        before = self.owner.worker("list")
        self.node.restart()
        assert self.owner.worker("list") == before
        answer = self.invoke("hello")
        assert answer["body"] == "Hello from Jeju!" and answer["worker"]["version"] == 1, answer
        assert [v["version"] for v in self.owner.worker("versions", "hello")["versions"]] == [2, 1]
        assert self.known() == (["PLAIN", "TOKEN"], digest(self.value))
        assert self.owner.worker("cron", "clock")["cronSchedule"] == "* * * * *"
        self.owner.worker("rollback", "hello", "--to", "2")
        assert self.get("/w/hello")[2] == b"Goodbye from Jeju!"
        self.owner.worker("delete", "hello")
        assert self.owner.refused("get", "hello") == "worker_unknown"

    PARTS = ["schedule", "readme", "traces", "typescript", "packages", "versions", "secrets", "logs", "streams", "strangers", "refusals",
             "reaching_out", "types", "dev", "comes_back"]
