// An import from outside the bundle.
// expect: worker_import_not_found
import data from "../../../../etc/passwd";

export default { fetch: () => new Response(data) };
