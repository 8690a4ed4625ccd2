// Frames of the engine's own code, seen from a hook on stacks: none may hand out a function that isn't the worker's.
// expect: 200 nothing
const functions = new Set();

const fail = () => {
  Error.prepareStackTrace = (_, frames) => {
    for (const frame of frames ?? []) functions.add(frame?.getFunction?.());
    return "";
  };
  try {
    null.value;
  } catch (error) {
    void error.stack;
  }
  delete Error.prepareStackTrace;
};

export async function abuse() {
  fail();
  await null;
  fail();
  const own = [fail, abuse, undefined, null];
  const names = [...functions].filter((found) => !own.includes(found)).map((found) => found.name || "(unnamed)");
  // The handler that called this one is the worker's too.
  const others = names.filter((name) => name !== "fetch");
  return new Response(others.length ? others.join(",") : "nothing");
}
