// What the types take, and what they refuse: read by tsc in e2e/workers.py, never run.

const stream: ReadableStream<string> = ReadableStream.from(['a']);
for await (const piece of stream) console.log(piece);
const [one] = new Response('a').body!.tee();
await one.pipeThrough(new TextDecoderStream()).pipeTo(new WritableStream({ write(chunk: string) { console.log(chunk); } }));
const key = await crypto.subtle.generateKey({ name: 'AES-GCM', length: 256 }, false, ['encrypt']);
await crypto.subtle.encrypt({ name: 'AES-GCM', iv: crypto.getRandomValues(new Uint8Array(12)) }, key, new TextEncoder().encode('x'));
const pair = await crypto.subtle.generateKey({ name: 'ECDSA', namedCurve: 'P-256' }, true, ['sign']);
pair.privateKey.type satisfies 'private' | 'public' | 'secret';
new URLPattern({ pathname: '/a/:b' }).exec('https://a/a/c')?.pathname.groups.b?.length;
const form = new FormData(); form.append('a', new File(['x'], 'a.txt'), 'a.txt');
await fetch('https://a', { method: 'POST', body: form, signal: AbortSignal.timeout(10) });
setTimeout((n: number) => n, 5, 1);
for (const [k, v] of new Headers()) k + v;
for (const [k, v] of new URLSearchParams('a=b')) k + v;
// @ts-expect-error: workers have no window
window;
// @ts-expect-error
new WebSocket('wss://a');
// @ts-expect-error
new Request('a', { mode: 'cors' });
export {};
