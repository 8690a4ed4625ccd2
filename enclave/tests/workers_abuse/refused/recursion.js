// A module that calls itself.
// expect: worker_module_failed worker_memory_limit
const deep = () => deep() + 1;
deep();

export default { fetch() {} };
