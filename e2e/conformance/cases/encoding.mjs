import { bytes, thrown } from "./tools.mjs";

const decode = (list, label, options) => new TextDecoder(label, options).decode(new Uint8Array(list));

export default {
  "UTF-8 both ways": () => [bytes("aé€😀"), new TextDecoder().decode(bytes("aé€😀"))],
  "lone surrogates become replacements": () => bytes("a\ud800b"),
  "encodeInto says how far it came": () => { const into = new Uint8Array(5); const { read, written } = new TextEncoder().encodeInto("a€😀", into); return [read, written, into]; },
  "bytes that are none become replacements": () => [decode([0xff, 0x61]), decode([0xe2, 0x82]), decode([0xf0, 0x9f, 0x98]), decode([0xc0, 0x80]), decode([0xed, 0xa0, 0x80])],
  "fatal refuses them": () => thrown(() => decode([0xff], "utf-8", { fatal: true })),
  "a byte order mark goes": () => [decode([0xef, 0xbb, 0xbf, 0x61]).length, decode([0xef, 0xbb, 0xbf, 0x61], "utf-8", { ignoreBOM: true }).length],
  "pieces": () => { const decoder = new TextDecoder(); return [decoder.decode(new Uint8Array([0xe2]), { stream: true }), decoder.decode(new Uint8Array([0x82, 0xac]), { stream: true }), decoder.decode()]; },
  "a piece that is left over": () => { const decoder = new TextDecoder(); decoder.decode(new Uint8Array([0xe2]), { stream: true }); return decoder.decode(); },
  "labels": () => ["utf8", "UTF-8", " unicode-1-1-utf-8 ", "latin1", "ascii", "utf-16", "sjis", "gb2312", "windows-31j"].map((label) => new TextDecoder(label).encoding),
  "a label that is none": () => Promise.all(["utf-7", "", "replacement"].map((label) => thrown(() => new TextDecoder(label)))),
  "windows-1252": () => decode([0x80, 0x9f, 0xe9], "latin1"),
  "UTF-16": () => [decode([0x61, 0, 0x3d, 0xd8, 0, 0xde], "utf-16le"), decode([0, 0x61], "utf-16be")],
  "Shift_JIS, EUC-KR, GB18030, Big5": () => [decode([0x82, 0xa0], "shift_jis"), decode([0xb0, 0xa1], "euc-kr"), decode([0x81, 0x30, 0x81, 0x30], "gb18030"), decode([0xa4, 0x40], "big5")],
  "buffers of every kind": () => [new TextDecoder().decode(bytes("hi").buffer), new TextDecoder().decode(new DataView(bytes("hi").buffer, 1)), new TextDecoder().decode()],
  "atob and btoa": async () => [btoa("\xff\x00a"), atob(" aG k= "), await thrown(() => btoa("€")), await thrown(() => atob("a")), await thrown(() => atob("a-_=")), atob("")],
};
