"""A web server in a rental's container, reached through a gateway by curl: by a host name, and by a port. The gateway's key gets in
by the tenant's certificate, for the port alone, and no longer than the node has the host key that was verified."""
import json

from local_chain import CHAIN_ID
from programs import Programs, free_port, wait_for_port, wait_until
from rentals_crash import kill
from rentals_market import Refused, run, step
from rentals_story import SCRIPT

DOMAIN = "routes.gateway.example"
PAGE = "from inside\n"


class Gateway(Programs):
    """A gateway with routes of all kinds."""

    def __init__(self, market):
        super().__init__(market.state / "gateway")
        self.market = market
        self.http_port, self.routes_port, self.tcp_port = free_port(), free_port(), free_port()

    def start(self):
        self.state.mkdir(parents=True)
        chain = self.market.chain
        config = self.state / "gateway.toml"
        config.write_text(f"""http = "127.0.0.1:{self.http_port}"
state = "{self.state / "kept"}"
[chain]
id = {CHAIN_ID}
rpc = ["{chain.rpc}"]
compute_registry = "{chain.deployed["computeRegistry"]}"
compute_rental = "{chain.deployed["computeRental"]}"
interval_seconds = 1
development = true
[http_route]
listen = "127.0.0.1:{self.routes_port}"
domain = "{DOMAIN}"
[tcp_route]
address = "127.0.0.1"
ports = [{self.tcp_port}, {self.tcp_port}]
""")
        self.spawn("gateway", self.market.binaries / "jeju-gateway", "--config", config)
        wait_for_port(self.http_port, 60)

    @property
    def url(self):
        return f"http://127.0.0.1:{self.http_port}"


class Routes:
    """What a tenant does with a gateway."""

    def __init__(self, gateway, rental):
        self.gateway, self.rental = gateway, rental

    @property
    def at(self):
        return ["--gateway", self.gateway.url, "--key", self.rental.tenant.account_key]

    @property
    def inside(self):
        return ["--ssh-key", self.rental.tenant.ssh_key, "--node", self.rental.provider.url, *self.rental.provider.trust]

    def create(self, kind, port=8080, *options):
        return self.rental.market.jeju("route", "create", self.rental.id, "--type", kind, "--port", port, *self.inside, *self.at, *options)

    def renew(self, route, port=8080):
        return self.rental.market.jeju("route", "renew", route["routeId"], self.rental.id, "--port", port, *self.inside, *self.at)

    def delete(self, route):
        return self.rental.market.jeju("route", "delete", route["routeId"], *self.at)

    def curl(self, route, path="/index.html", *options):
        """Status and body."""
        host = f"{route['routeId']}.{DOMAIN}:{self.gateway.routes_port}"
        done = run(["curl", "--silent", "--show-error", "--max-time", 60, "--noproxy", "*", "--resolve", f"{host}:127.0.0.1", "-w",
                    "\n%{http_code}", *options, f"http://{host}{path}"])
        body, _, status = done.stdout.rpartition("\n")
        return int(status), body


def routes(market, provider, tenant, stranger):
    script = market.state / "routes.sh"
    script.write_text(SCRIPT)
    with Gateway(market) as gateway:
        try:
            rental = tenant.rent(provider, script=script)
            own = Routes(gateway, rental)
            http = step("a route to the web server in a container: curl gets its page", by_host, own)
            tcp = step("the same by a port of the gateway's", by_port, own)
            step("another port isn't there, and another's key lets nobody in", not_otherwise, own, stranger)
            step("a node that restarted has another host key: nothing goes through until the renter verified it", restarted, market, provider, own, http)
            step("the route ends with its rental", over, own, http, tcp)
        except BaseException:
            print(gateway.logs())
            raise


def by_host(own):
    route = own.create("http")
    wait_until("the web server answers", 30, lambda: own.curl(route) == (200, PAGE))
    assert own.curl(route, "/nothing")[0] == 404
    status, head = own.curl(route, "/index.html", "--head")
    assert status == 200 and f"content-length: {len(PAGE)}" in head.lower(), head
    found = own.rental.market.jeju("route", "list", *own.at)["routes"]
    assert [(entry["routeId"], entry["port"]) for entry in found] == [(route["routeId"], 8080)], found
    return route


def by_port(own):
    route = own.create("tcp", 8080, "--hours", 1)
    done = run(["curl", "--silent", "--fail", "--max-time", 60, "--noproxy", "*", f"http://127.0.0.1:{route['proxyPort']}/index.html"])
    assert done.stdout == PAGE, done
    return route


def not_otherwise(own, stranger):
    closed = own.create("http", 8081)
    status, body = own.curl(closed)
    assert (status, json.loads(body)["code"]) == (502, "route_unreachable"), body
    own.delete(closed)
    # Signed by a key that isn't the rental's.
    inside = ["--ssh-key", stranger.ssh_key, "--node", own.rental.provider.url, *own.rental.provider.trust]
    other = own.rental.market.jeju("route", "create", own.rental.id, "--type", "http", "--port", 8080, *inside, *own.at)
    status, body = own.curl(other)
    assert (status, json.loads(body)["code"]) == (502, "route_login_refused"), body
    own.delete(other)
    try:
        found = own.rental.market.jeju("route", "create", own.rental.id, "--type", "http", "--port", 8080, *own.inside, "--gateway",
                                       own.gateway.url, "--key", stranger.account_key)
    except Refused as error:
        assert error.code == "gateway_refused", error
    else:
        raise AssertionError(f"a route to somebody else's rental: {found}")


def restarted(market, provider, own, route):
    kill(market, provider, "node")
    wait_until("the node is back", 60, provider.verified)
    own.rental.ready()

    def refused():
        status, body = own.curl(route)
        return status == 502 and json.loads(body)["code"] == "route_host_key_changed"

    wait_until("the gateway sees another host key", 60, refused)
    own.renew(route)
    wait_until("the web server answers again", 60, lambda: own.curl(route) == (200, PAGE))


def over(own, http, tcp):
    own.rental.end()
    wait_until("the gateway knows", 30, lambda: own.curl(http)[0] in (404, 410))
    done = run(["curl", "--silent", "--max-time", 20, "--noproxy", "*", f"http://127.0.0.1:{tcp['proxyPort']}/"], check=False)
    assert done.returncode != 0 and not done.stdout, done
