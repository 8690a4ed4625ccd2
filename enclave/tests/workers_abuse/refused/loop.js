// A module that never ends.
// expect: worker_module_failed worker_cpu_limit
for (;;) {}

export default { fetch() {} };
