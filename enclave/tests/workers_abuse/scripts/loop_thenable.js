// An answer that is a thenable that resolves with thenables.
// expect: worker_cpu_limit worker_never_answers worker_exception worker_bad_response worker_memory_limit
const thenable = () => ({ then: (resolve) => resolve(thenable()) });

export function abuse() {
  return thenable();
}
