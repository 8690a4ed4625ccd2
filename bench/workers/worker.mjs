// What is measured: hello, and work that is native in every engine.
const data = new Uint8Array(1 << 20).map((_, i) => i * 7);
const list = Array.from({ length: 1000 }, (_, i) => ({ id: i, name: `name ${i}`, tags: ["a", "b"], nested: { value: i / 3 } }));
const string = Array.from(data.subarray(0, 1 << 16), (byte) => String.fromCharCode(byte)).join("");
let key;

const work = {
  async sha256() {
    await crypto.subtle.digest("SHA-256", data);
  },
  async "aes-gcm"() {
    key ??= await crypto.subtle.importKey("raw", data.subarray(0, 32), "AES-GCM", false, ["encrypt", "decrypt"]);
    const parameters = { name: "AES-GCM", iv: data.subarray(0, 12) };
    await crypto.subtle.decrypt(parameters, key, await crypto.subtle.encrypt(parameters, key, data));
  },
  json() {
    JSON.parse(JSON.stringify(list));
  },
  base64() {
    atob(btoa(string));
  },
};

export default {
  async fetch(request) {
    const at = request.url.indexOf("?");
    if (at < 0) return new Response("Hello from Jeju!");
    const [name, count] = request.url.slice(at + 1).split("=");
    for (let i = 0; i < Number(count); i++) await work[name]();
    return new Response("done");
  },
};
