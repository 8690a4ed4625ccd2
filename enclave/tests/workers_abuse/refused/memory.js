// A module that takes all memory.
// expect: worker_module_failed worker_memory_limit
const all = [];
for (;;) all.push(new Array(1000).fill(0));

export default { fetch() {} };
