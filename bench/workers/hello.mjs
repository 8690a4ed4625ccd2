// What a process does before its first answer, with as little of its own as a worker can have.
export default { fetch: () => new Response("hello") };
