// Lives as long as the isolate: what must outlast it belongs to a store elsewhere.
let last = null;

export default {
  async scheduled(controller, env, ctx) {
    last = new Date(controller.scheduledTime).toISOString();
    console.log(`ran for ${last} (${controller.cron})`);
  },

  async fetch(request) {
    return Response.json({ last });
  },
};
