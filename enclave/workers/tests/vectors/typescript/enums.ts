enum Plain { A, B, C }
enum Numbers { A = 1, B, C = 1 << 4, D, E = A | C, F = -1, G, "quoted-name" = 100, H, ['computed'] = 7 }
enum Strings { A = "a", B = 'b', C = `c`, D = A + "x", E = A }
const enum Constant { X = 3, Y }
enum Mixed {
  // a comment, with a comma
  A = "a", /* and, another */
  B = 2,
  C = Plain.C, // trailing
  D = "text".length,
}
enum Empty {}
enum Plain { D = 3 }
export enum Exported { One = 1 }
export enum Exported { Two = 2 }
declare enum Gone { A }
declare const enum Gone2 { A }
function local() {
  enum Inner { A = 5 }
  return Inner.A
}
function local2() {
  enum Inner { B = 6 }
  return Inner
}
enum Reserved { default = 1, class, undefined2 = class2(), B = Reserved.default }
function class2() { return 9 }
type Key = keyof typeof Plain
const key: Key = "A"
export default [Plain, Numbers, Strings, Constant.Y, Mixed, Empty, Exported, local(), local2(), Reserved, Plain[key], Plain[1]]
