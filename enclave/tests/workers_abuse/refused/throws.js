// A module that throws.
// expect: worker_module_failed
throw new Error("no");
