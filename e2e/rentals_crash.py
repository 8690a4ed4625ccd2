"""kill -9 of node, shim and engine at each step of a rental: afterwards everything is as if nothing had been, but for open
sessions. No container is left over, no wei is lost, nothing runs twice.

A round has one rental at each step and one victim, at one moment after the steps were taken."""
import contextlib
import subprocess
import time

from programs import arguments, wait_until
from rentals_market import ACTIVE, COMPLETED, PENDING, PRICE, Refused, step, together

VICTIMS = ["node", "shim", "engine"]
# Seconds from the last step to the kill.
MOMENTS = [0.6]
ALL_MOMENTS = [0, 0.2, 0.5, 1, 2, 4]
# How long a victim is dead.
DEAD = 0.5
RECOVERY = 300
SCRIPT = """#!/bin/sh
echo this line is written once
echo ran >> /ran
"""


def crashes(market, provider, tenants, everything):
    script = market.state / "crash.sh"
    script.write_text(SCRIPT)
    steps = [Created, Waiting, Started, Extending, Ending]
    # What came before may still be going.
    wait_until(lambda: f"nothing is left of what came before, but there is {market.left()}", RECOVERY, lambda: not market.left())
    for victim in VICTIMS:
        for moment in MOMENTS:
            names = ", ".join(kind.name for kind in steps)
            step(f"kill -9 of the {victim}, {moment} s into rentals that are {names}", round_of, market, provider, tenants, script, victim, steps, moment)
    if not everything:
        return
    for victim in VICTIMS:
        for kind in steps:
            for moment in ALL_MOMENTS:
                step(f"kill -9 of the {victim}, {moment} s into a rental that is {kind.name}", round_of, market, provider, tenants, script, victim,
                     [kind], moment)


def round_of(market, provider, tenants, script, victim, steps, moment):
    assert not market.left(), f"something is left of what came before: {market.left()}"
    accounts = [provider.account, *(tenant.account for tenant in tenants)]
    owed = sum(map(market.owed, accounts))
    # A tenant each, so that none waits for another's transaction.
    cases = [kind(market, provider, tenant, script) for kind, tenant in zip(steps, tenants)]
    together(*(case.before for case in cases))
    # Those that begin while the provider's wallet is away.
    provider.stop_daemon()
    together(*(case.prepare for case in cases))
    together(*(case.act for case in cases))
    time.sleep(moment)
    kill(market, provider, victim)
    provider.start_daemon()
    together(*(case.recovers for case in cases))
    together(*(case.end for case in cases))
    wait_until(lambda: f"nothing is left, but there is {market.left()}", RECOVERY, lambda: not market.left())
    check_money(market, [case.rental for case in cases], sum(map(market.owed, accounts)) - owed)


def kill(market, provider, victim):
    match victim:
        case "node":
            provider.kill_node()
            time.sleep(DEAD)
            provider.start_node()
            provider.wait_ready()
        case "shim":
            provider.kill_shim()
            time.sleep(DEAD)
            provider.start_shim()
        case "engine":
            market.engine.kill()
            time.sleep(DEAD)
            market.engine.start_daemon()


def check_money(market, rentals, owed):
    """All that was paid is owed to somebody."""
    paid = fees = 0
    for rental in rentals:
        record = rental.wait(COMPLETED).record()
        used = min(record["rate"] * (record["ended_at"] - record["start_time"]) // 3600, record["paid"])
        paid += record["paid"]
        fees += used * record["fee_bps"] // 10_000
    assert owed == paid - fees, (owed, paid, fees)
    assert market.check_money()[0] == 0, "something is still in escrow"


class Case:
    """A rental that is about to see a crash."""

    def __init__(self, market, provider, tenant, script):
        self.market, self.provider, self.tenant, self.script = market, provider, tenant, script
        self.rental = None

    def rent(self, wait=True):
        self.rental = self.tenant.rent(self.provider, script=self.script, wait=wait)

    def before(self):
        """While everything runs."""

    def prepare(self):
        """While the provider's wallet is away."""

    def act(self):
        """At the last moment."""

    def recovers(self):
        """It runs, its script ran once, it has one container."""
        rental = self.rental
        rental.wait(ACTIVE, RECOVERY)
        wait_until("its tenant gets in", RECOVERY, lambda: rental.ssh("cat /ran", check=False).stdout == "ran\n", pause=0.5)
        assert [name for name in self.market.engine.containers() if name == rental.container] == [rental.container]
        log = wait_until("its log is there", RECOVERY, lambda: rental.ask("logs")["logs"])
        assert log.count("this line is written once") == 1, log

    def end(self):
        self.rental.send("end")


class Created(Case):
    name = "paid"

    def act(self):
        self.rent(wait=False)

    def recovers(self):
        # A node that had no time to make the container has forgotten the script.
        with contextlib.suppress(Refused):
            self.rental.ask("script", "--script", self.script)
        super().recovers()


class Waiting(Case):
    name = "ready, not started on chain"

    def prepare(self):
        self.rent(wait=False)
        wait_until("its container runs", 30, self.rental.running)
        assert self.rental.status() == PENDING


class Started(Case):
    name = "used"

    def before(self):
        self.rent()
        self.session = subprocess.Popen(arguments(self.rental.ssh_command("sleep 1000")), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL)

    def end(self):
        super().end()
        self.session.wait(60)


class Extending(Case):
    name = "being extended"

    def before(self):
        self.rent()

    def act(self):
        self.rental.send("extend", "--hours", 1)

    def recovers(self):
        super().recovers()
        assert self.rental.record()["paid"] == 2 * PRICE


class Ending(Case):
    name = "being ended"

    def before(self):
        self.rent()

    def act(self):
        self.rental.send("end")

    def recovers(self):
        self.rental.wait(COMPLETED)
        wait_until("it is gone", RECOVERY, self.rental.gone)

    def end(self):
        pass
