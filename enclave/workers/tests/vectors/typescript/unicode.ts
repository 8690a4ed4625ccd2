/* ünïcödé 🦀 before */ const größe: number = 1 /* 🦀 */ as number; const after = "🦀" as string
const sep = "a b" as string
enum Ünicode { Größe = 1, "🦀" = 2 }
class Ä<T> { private ö: T | string = "ö"; constructor(readonly ß: string) {} }
export default [größe, after, sep.length, Ünicode, new Ä<number>("s")]
