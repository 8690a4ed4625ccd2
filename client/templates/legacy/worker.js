// The form of the first nodes: a plain object comes in, a plain object goes out.
export default {
  async fetch(request, env) {
    console.log(request.method, request.url);
    return {
      status: 200,
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ method: request.method, body: request.body }),
    };
  },
};
