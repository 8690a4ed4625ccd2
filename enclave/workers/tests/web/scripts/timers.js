test("timers fire in the order of their times", async () => {
  const order = [];
  setTimeout((...rest) => order.push(rest), 600, "late", 1);
  setTimeout(() => order.push("soon"), 300);
  setTimeout(() => order.push("at once"));
  await sleep(900);
  equal(order, ["at once", "soon", ["late", 1]]);
});

test("cleared timers don't fire", async () => {
  let fired = 0;
  clearTimeout(setTimeout(() => fired++, 1));
  clearInterval(setTimeout(() => fired++, 1));
  clearTimeout(String(Number(setTimeout(() => fired++, 1))));
  clearTimeout(undefined);
  clearTimeout(12345678);
  clearTimeout("x");
  await sleep(10);
  equal(fired, 0);
});

test("intervals repeat until they are cleared", async () => {
  let count = 0;
  await new Promise((resolve) => {
    const id = setInterval(
      (step) => {
        count += step;
        if (count >= 6) {
          clearInterval(id);
          resolve();
        }
      },
      1,
      2,
    );
  });
  await sleep(10);
  equal(count, 6);
});

test("a timer's delay may be anything", async () => {
  let count = 0;
  for (const delay of [-1, NaN, undefined, null, "1", 2 ** 31, Infinity, 0.9])
    setTimeout(() => count++, delay);
  await sleep(30);
  equal(count, 8);
});

test("timers want functions", () => {
  throws(TypeError, () => setTimeout("code()"));
  throws(TypeError, () => setInterval());
});

test("microtasks run between timers", async () => {
  const order = [];
  setTimeout(() => {
    order.push(1);
    Promise.resolve().then(() => order.push("micro"));
  });
  setTimeout(() => order.push(2));
  await sleep(10);
  equal(order, [1, "micro", 2]);
});
