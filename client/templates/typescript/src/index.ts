import { greet } from './greet';

interface Env {
  GREETING: string;
}

const route = new URLPattern({ pathname: '/greet/:name' });

export default {
  async fetch(request, env, ctx) {
    const { pathname } = new URL(request.url);
    const name = route.exec({ pathname: pathname.replace(/^\/w(?=\/)/, '') })?.pathname.groups.name;
    ctx.waitUntil(Promise.resolve().then(() => console.log(`${request.method} ${pathname}`)));
    return Response.json({ message: greet(env.GREETING, name ?? 'stranger') });
  },
} satisfies ExportedHandler<Env>;
