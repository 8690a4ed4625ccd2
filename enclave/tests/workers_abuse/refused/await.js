// A module that waits for what never comes.
// expect: worker_module_failed worker_never_answers worker_timeout
await new Promise(() => {});

export default { fetch() {} };
