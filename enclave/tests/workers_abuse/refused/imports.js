// An import of the machine's files.
// expect: worker_import_not_found
import { readFileSync } from "node:fs";

export default { fetch: () => new Response(readFileSync("/etc/passwd")) };
