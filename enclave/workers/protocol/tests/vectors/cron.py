"""What croniter, a cron library of others, makes of random schedules. Writes cron.tsv: schedule, a time, and the next three
times after it, in minutes since 1970, each as what it adds to the one before.

    pip install croniter==7.0.0 && python3 cron.py
"""

import random
from datetime import datetime, timedelta, timezone

from croniter import croniter

COUNT = 10_000
MONTHS = "jan feb mar apr may jun jul aug sep oct nov dec".split()
DAYS = "sun mon tue wed thu fri sat".split()
EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
rng = random.Random(9)


def item(first, last, names):
    def shown(value):
        return names[value - first] if names and rng.randrange(3) == 0 else str(value)

    a, b = sorted(rng.randint(first, last) for _ in range(2))
    kind = rng.randrange(8)
    if kind == 0 and a < b:
        return f"{shown(a)}-{shown(b)}"
    if kind == 1 and a < b:
        return f"{a}-{b}/{rng.randint(1, b - a)}"
    if kind == 2:
        return f"*/{rng.randint(1, last - first)}"
    if kind == 3 and a < last:
        return f"{a}/{rng.randint(1, last - a)}"
    return shown(a)


def field(first, last, names, open_of_ten):
    if rng.randrange(10) < open_of_ten:
        return "*"
    return ",".join(item(first, last, names) for _ in range(rng.randint(1, 2)))


with open("cron.tsv", "w", encoding="ascii") as table:
    lines = 0
    while lines < COUNT:
        fields = [field(0, 59, None, 2), field(0, 23, None, 4), field(1, 31, None, 5), field(1, 12, MONTHS, 5)]
        schedule = " ".join([*fields, field(0, 6, DAYS, 5)])
        start = rng.randrange(68_374_080)  # 1970 to 2100
        at = EPOCH + timedelta(minutes=start)
        try:
            # It takes a list of all days for *, which is another rule than POSIX's.
            expanded = croniter(schedule).expanded
            if any(expanded[i] == ["*"] and schedule.split()[i] != "*" for i in (2, 4)):
                continue
            times = croniter(schedule, at, max_years_between_matches=10)
            adds = []
            for _ in range(3):
                after = times.get_next(datetime)
                adds.append(str((after - at) // timedelta(minutes=1)))
                at = after
        except ValueError as error:
            print(schedule, error)
            continue
        print(schedule, start, " ".join(adds), sep="\t", file=table)
        lines += 1
