const obj = {
  method<T>(this: unknown, a: T): T { return a },
  get prop(): number { return 1 },
  set prop(value: number) {},
  async *gen<T>(): AsyncGenerator<T> {},
  arrow: (a?: number): void => {},
  [`key` as string]: 1,
  as: 1, type: 2, declare: 3, readonly: 4, abstract: 5, namespace: 6, satisfies: 7, is: 8, of: 9,
}
let type = 1, as = 2, declare = 3, namespace = 4, abstract = 5, satisfies = 6, readonly = 7, of = 8
type = as + declare
const label: unknown = obj.as
const less = type < as, more = (type) > (as)
const call = obj.method<string>("a")
const maybe = obj?.method?.<number>(1)
const made = new Map<string, Array<number>>([["a", [1]]])
const made2 = new Set<number>
const inst = Array<string>
const tag = (strings: TemplateStringsArray, ...values: unknown[]) => strings.join("|") + values.length
const tagged = tag<string>`a${1}b`
const regex = /[/"'`]<T>(?<name>x)/u.test("x")
const division = 4 / 2 / <number>1
const arrows = ((a) => (b) => (c: number): number => a + b + c)(1)(2)(3)
const optional = (a?: number, b: string = "b", { c, d = 1 }: { c?: number; d?: number } = {}, [e]: [number?] = []) => [a, b, c, d, e]
const keyof = { typeof: { infer: 1 } }
const cond: number extends string ? 1 : 2 = 2
const fn: new (...args: any[]) => object = Object
let big: `a${string}` | -1n | 1e3 = -1n
var assertsValue = function (this: Date | void): asserts this is Date {}
const multi = [1, 2, 3].map((each): string | number => each as number).filter((each): each is number => !!each)
const comments = /* as T */ 1 /* : number */ + /* ! */ 2 // <T>
const string = "a as b : c <d> ! ?" as string
async function* generator(): AsyncGenerator<number> { const x: number = yield 1 as number; yield* [2] as any }
const nullish = (null as any) ?? <any>"n"
const exclaim = !obj.prop! || !!obj!.prop
const spread = [...(multi as number[]), ...<number[]>[9]]
switch (type as number) { case 5 as number: type = 6; break; default: type = 7 }
export default [call, maybe, [...made], made2.size, inst.name, tagged, regex, division, arrows, optional(), keyof, cond, new fn(), String(big), multi, comments, string,
  nullish, exclaim, spread, type, less, more, label, typeof assertsValue, typeof generator, namespace + abstract + satisfies + readonly + of]
