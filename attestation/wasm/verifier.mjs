// The verifier of evidence for JavaScript: a thin layer over the WebAssembly module, without dependencies.
//
//   const verifier = await Verifier.load(bytesOfTheModule);
//   const answer = verifier.verify({ evidence, endorsements, at, policy });

const base64 = (bytes) => {
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return btoa(text);
};

export class Verifier {
  #exports;

  constructor(exports) {
    this.#exports = exports;
  }

  /** `module`: the bytes of the WebAssembly module, or a compiled one. It imports nothing. */
  static async load(module) {
    const loaded = await WebAssembly.instantiate(module, {});
    return new Verifier((loaded.instance ?? loaded).exports);
  }

  /**
   * `evidence`: Uint8Array of the file; `endorsements`: Uint8Arrays of files; `at`: seconds since 1970; optional
   * `tee`, `nonce` and `report_data` (hex), `policy` (TOML or JSON text), `development`. Returns the parsed answer.
   */
  verify({ evidence, endorsements = [], ...rest }) {
    const request = { evidence: base64(evidence), endorsements: endorsements.map(base64), ...rest };
    return JSON.parse(this.answer(JSON.stringify(request)));
  }

  /** The exact text of the answer to the text of a request (`docs/wire-formats.md` §11). */
  answer(request) {
    const { memory, jeju_input, jeju_verify, jeju_output } = this.#exports;
    const bytes = new TextEncoder().encode(request);
    const at = jeju_input(bytes.length);
    if (at === 0 && bytes.length > 0) throw new RangeError("request is too long");
    new Uint8Array(memory.buffer, at, bytes.length).set(bytes);
    const length = jeju_verify();
    return new TextDecoder().decode(new Uint8Array(memory.buffer, jeju_output(), length));
  }
}
