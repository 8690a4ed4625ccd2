const value: unknown = { a: [1, 2, 3], f() { return 7 } }
const a = (value as any).a[0] as number
const b = <number>(value as any).a[1]
const c = (value as { a: number[] }).a!.length!
const f = () => <any>{ k: 1 }
const g = (n: number) => <number>n + 1
const s = 1 + 2 as any < 4 === true
const t = (2 as number) ** (3 as number)
const neg = <any>(-1) + 5
const sat = { q: 1 } satisfies Record<string, number> as object
const chain = (value as any)?.a!?.[2]!
const deep = (value as any).f!() as unknown as number
const un = -(3 as number)
const nested = ((value as any) as { a: number[] }).a as number[]
let target: any = {};
(target as any).z = 1;
(<any>target).w = 2;
(target.v as number) = 3
target.u! = 4
target!.u!++
const [d = 9 as number] = [] as number[]
const tern = (a as number) ? b as number : c as number
const cmp = a as number < 5
const inn = "a" in (value as object)
const tpl = `${a as number}${b!}`
const constant = ["x", "y"] as const
export default [a, b, c, f(), g(1), s, t, neg, sat, chain, deep, un, nested, target, d, tern, cmp, inn, tpl, constant]
