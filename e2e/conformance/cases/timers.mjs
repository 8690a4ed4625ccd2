import { later, thrown, until } from "./tools.mjs";

export default {
  "in order of time, then of making": async () => { const seen = []; setTimeout(() => seen.push(3), 20); setTimeout(() => seen.push(1), 1); setTimeout(() => seen.push(2), 1); await until(() => seen.length === 3); return seen; },
  "jobs come before timers": async () => { const seen = []; setTimeout(() => seen.push("timer")); queueMicrotask(() => seen.push("microtask")); Promise.resolve().then(() => seen.push("promise")); seen.push("now"); await until(() => seen.length === 4); return seen; },
  "arguments": () => new Promise((resolve) => setTimeout((...list) => resolve(list), 0, 1, "b")),
  "cleared": async () => { let ran = false; clearTimeout(setTimeout(() => { ran = true; }, 1)); clearTimeout(undefined); clearTimeout(12345); await later(10); return ran; },
  "an interval until it is cleared": async () => { let count = 0; await new Promise((resolve) => { const id = setInterval(() => { if (++count === 3) { clearInterval(id); resolve(); } }, 1); }); await later(10); return count; },
  "clearTimeout clears intervals too": async () => { let count = 0; const id = setInterval(() => count++, 1); clearTimeout(id); await later(10); return count; },
  "times that are none": async () => { const seen = []; setTimeout(() => seen.push("NaN"), NaN); setTimeout(() => seen.push("negative"), -5); setTimeout(() => seen.push("text"), "1"); await until(() => seen.length === 3); return seen.sort(); },
  "a nested timer": async () => { const seen = []; setTimeout(() => { seen.push(1); setTimeout(() => seen.push(2)); }); await until(() => seen.length === 2); return seen; },
  "queueMicrotask wants a function": () => thrown(() => queueMicrotask(1)),
  "time goes on while one waits": async () => { const start = Date.now(); await later(20); return Date.now() - start >= 19; },
};
