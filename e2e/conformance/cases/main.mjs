// One worker that runs the case that is asked for. The same file in every engine.
import blobs from "./blobs.mjs";
import clone from "./clone.mjs";
import encoding from "./encoding.mjs";
import events from "./events.mjs";
import fetching from "./fetching.mjs";
import headers from "./headers.mjs";
import streams from "./streams.mjs";
import timers from "./timers.mjs";
import transforms from "./transforms.mjs";
import urls from "./urls.mjs";
import { show } from "./tools.mjs";

const groups = { blobs, clone, encoding, events, fetching, headers, streams, timers, transforms, urls };
const cases = new Map();
for (const [group, members] of Object.entries(groups)) {
  for (const [name, run] of Object.entries(members)) cases.set(`${group}: ${name}`, run);
}

export default {
  async fetch(request) {
    const name = new URL(request.url).searchParams.get("case");
    if (!name) return Response.json([...cases.keys()]);
    let shown;
    try {
      shown = show(await cases.get(name)());
    } catch (error) {
      shown = `uncaught ${error?.name}: ${error?.message}`;
    }
    return new Response(shown, { headers: { "content-type": "text/plain" } });
  },
};
