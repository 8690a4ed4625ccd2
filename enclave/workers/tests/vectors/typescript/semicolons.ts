const log: unknown[] = []
const call = (x: unknown) => { log.push(x); return x }
const one = call(1) as unknown
(call)(2)
const list = [1, 2, 3] as number[]
;[4].forEach(call)
let x = 5 as any
type Gone = string
(call)(x)
interface Gone2 { a: 1 }
[6].map(call)
let n: number | undefined = 1
let y = n!
++n
const z = call as (x: unknown) => unknown
`template`.length
class A {
  a = 1 as number
  ["b"] = 2
  c?: number
  ["d"]: number = 3
  e!: string
  *[Symbol.iterator]() { yield 1 }
  declare g: number
  ["h"] = 4
  private i = 5
  public ["j"] = 6
  readonly k = 7
  static l: number = 8
  get: string = "get"
  static: string = "static"
  m(): void {}
  [key: string]: unknown
}
if (n as any) call(8); else call(9)
do call("do") as any
while (false)
for (let i = 0 as number; i < 1; i++) call(i)
export default [one, list, log, n, y, typeof z, Object.entries(new A()), [...new A()], A.l]
