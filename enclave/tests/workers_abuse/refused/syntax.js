// Text that is no module.
// expect: worker_syntax_error
export default {{{
