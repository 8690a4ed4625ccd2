test("text is encoded as UTF-8", () => {
  equal(new TextEncoder().encode("aé€😀"), new Uint8Array([97, 195, 169, 226, 130, 172, 240, 159, 152, 128]));
  equal(new TextEncoder().encode("\ud800x"), new Uint8Array([239, 191, 189, 120]));
  equal(new TextEncoder().encode("a\0b").length, 3);
  equal(new TextEncoder().encode().length, 0);
  equal(new TextEncoder().encoding, "utf-8");
});

test("encodeInto fills what there is room for, in whole characters", () => {
  const into = (text, size) => {
    const bytes = new Uint8Array(size);
    const { read, written } = new TextEncoder().encodeInto(text, bytes);
    return [read, written, [...bytes.subarray(0, written)]];
  };
  equal(into("abc", 2), [2, 2, [97, 98]]);
  equal(into("é€", 4), [1, 2, [195, 169]]);
  equal(into("é€", 5), [2, 5, [195, 169, 226, 130, 172]]);
  equal(into("😀a", 3), [0, 0, []]);
  equal(into("😀a", 4), [2, 4, [240, 159, 152, 128]]);
  equal(into("a😀", 2), [1, 1, [97]]);
  equal(into("\ud800a", 4), [2, 4, [239, 191, 189, 97]]);
  equal(into("", 4), [0, 0, []]);
  equal(into("a", 0), [0, 0, []]);
  throws(TypeError, () => new TextEncoder().encodeInto("a", []));
});

test("UTF-8 is decoded as the standard says", () => {
  const decode = (bytes, options) => new TextDecoder("utf-8", options).decode(new Uint8Array(bytes));
  equal(decode([0xef, 0xbb, 0xbf, 97]), "a");
  equal(decode([0xef, 0xbb, 0xbf, 97], { ignoreBOM: true }), "\ufeffa");
  equal(decode([0xc0, 0xaf, 0xed, 0xa0, 0x80, 0xf0, 0x9f, 0x98]), "\ufffd\ufffd\ufffd\ufffd\ufffd\ufffd");
  for (const bytes of [[0xff], [0xc3], [0xed, 0xa0, 0x80], [0xf4, 0x90, 0x80, 0x80]]) {
    throws(TypeError, () => decode(bytes, { fatal: true }));
  }
  equal(decode([0xf0, 0x9f, 0x98, 0x80], { fatal: true }), "😀");
  equal(new TextDecoder().decode(), "");
  equal(new TextDecoder().decode(new Uint16Array([0x6261])), "ab");
  equal(new TextDecoder().decode(new Uint8Array([97, 98, 99]).subarray(1)), "bc");
});

test("a stream's characters may be cut anywhere", () => {
  const bytes = [0xef, 0xbb, 0xbf, 97, 0xc3, 0xa9, 0xe2, 0x82, 0xac, 0xf0, 0x9f, 0x98, 0x80];
  for (let size = 1; size < bytes.length; size++) {
    const decoder = new TextDecoder("utf-8", { fatal: true });
    let text = "";
    for (let at = 0; at < bytes.length; at += size) {
      text += decoder.decode(new Uint8Array(bytes.slice(at, at + size)), { stream: true });
    }
    equal(text + decoder.decode(), "aé€😀", `${size}`);
  }
  const decoder = new TextDecoder();
  equal(decoder.decode(new Uint8Array([0xe2, 0x82]), { stream: true }), "");
  equal(decoder.decode(), "\ufffd");
  equal(decoder.decode(new Uint8Array([0xef, 0xbb, 0xbf, 98])), "b");
});

test("other encodings are decoded", () => {
  const decode = (label, ...bytes) => new TextDecoder(label).decode(new Uint8Array(bytes));
  equal(decode("latin1", 0xe9, 0x80), "é€");
  equal(decode("windows-1251", 0xcf, 0xf0), "Пр");
  equal(decode("shift_jis", 0x82, 0xa0), "あ");
  equal(decode("euc-kr", 0xb0, 0xa1), "가");
  equal(decode("gb18030", 0x81, 0x30, 0x81, 0x30), "\x80");
  equal(decode("big5", 0xa4, 0xa4), "中");
  equal(decode("utf-16le", 0x3d, 0xd8, 0x00, 0xde, 0x61, 0x00), "😀a");
  equal(decode("utf-16be", 0xfe, 0xff, 0x00, 0x61), "a");
  equal(decode("iso-2022-jp", 0x1b, 0x24, 0x42, 0x24, 0x22), "あ");
});

test("labels name encodings", () => {
  const name = (label) => new TextDecoder(label).encoding;
  equal(
    ["UTF8", " unicode-1-1-utf-8\n", "latin1", "ascii", "iso-8859-1", "sjis", "UTF-16", "x-user-defined"].map(
      name,
    ),
    [
      "utf-8",
      "utf-8",
      "windows-1252",
      "windows-1252",
      "windows-1252",
      "shift_jis",
      "utf-16le",
      "x-user-defined",
    ],
  );
  for (const label of ["", "utf-9", "replacement", "iso-2022-kr", "utf8\0"])
    throws(RangeError, () => new TextDecoder(label));
});

test("what is no buffer isn't decoded", () => {
  for (const input of ["text", 1, null, {}, [1]]) throws(TypeError, () => new TextDecoder().decode(input));
});

test("large texts are decoded in pieces", () => {
  const text = "é".repeat(1_200_000);
  const bytes = new TextEncoder().encode(text);
  ok(new TextDecoder().decode(bytes) === text);
  bytes[1] = 0xc3;
  equal(new TextDecoder().decode(bytes).slice(0, 3), "\ufffd\ufffdé");
  equal(new TextDecoder("utf-16le").decode(bytes).length, 1_200_000);
});

test("streams encode and decode", async () => {
  const run = async (stream, chunks) => {
    const writer = stream.writable.getWriter();
    const written = (async () => {
      for (const chunk of chunks) await writer.write(chunk);
      await writer.close();
    })().catch(() => {});
    const read = [];
    for await (const chunk of stream.readable) read.push(chunk);
    await written;
    return read;
  };
  equal(await run(new TextDecoderStream(), [new Uint8Array([0xe2, 0x82]), new Uint8Array([0xac])]), ["€"]);
  equal(await run(new TextEncoderStream(), ["a\ud83d", "\ude00", "\ud800"]), [
    new Uint8Array([97]),
    new Uint8Array([240, 159, 152, 128]),
    new Uint8Array([239, 191, 189]),
  ]);
  await rejects(TypeError, run(new TextDecoderStream("utf-8", { fatal: true }), [new Uint8Array([0xff])]));
  equal(new TextDecoderStream("latin1").encoding, "windows-1252");
});

test("atob and btoa", () => {
  equal(btoa("\xff\0a"), "/wBh");
  equal(atob(" /w Bh\n"), "\xff\0a");
  equal([atob(""), atob("YQ"), atob("YQ=="), atob("YWI=")], ["", "a", "a", "ab"]);
  for (const text of ["a", "YQ=", "YQ===", "YW=I", "Y\0Q", "a-_b", "é", "=", "YQ==YQ=="]) {
    throws("InvalidCharacterError", () => atob(text));
  }
  throws("InvalidCharacterError", () => btoa("€"));
  equal([btoa(undefined), btoa(null), btoa(12)], ["dW5kZWZpbmVk", "bnVsbA==", "MTI="]);
  equal(atob("ab\t\n\f\r =="), "i");
});
