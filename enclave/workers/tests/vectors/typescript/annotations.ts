interface Point { x: number; y?: number }
type Pair<A, B = A> = [A, B]
declare const nowhere: string
declare function nothing(): void
declare module "elsewhere" { export const a: number }
declare global { interface Window { a: 1 } }
let later!: number
later = 4
const point: Point = { x: 1 } as Point
function add(this: void, a: number, b?: number, ...rest: Array<number>): number {
  return a + (b ?? 0) + rest.reduce((sum: number, each: number): number => sum + each, 0)
}
const pair = <T,>(value: T): Pair<T> => [value, value]
const later2 = async <T extends object>(value: T): Promise<T> => value
function overload(a: string): string
function overload(a: number): number
function overload(a: any): any { return a }
try { throw new Error("x") } catch (error: unknown) { later += (error as Error).message.length }
for (const key of Object.keys(point) as (keyof Point)[]) later += key.length
const { x, y = 5 }: { x: number; y?: number } = point
const isString = (value: unknown): value is string => typeof value === "string"
function assert(value: unknown): asserts value { if (!value) throw 1 }
assert(true)
let tuple: readonly [first: number, second?: string] = [1]
const u: unique symbol = Symbol()
export default [add(1, 2, 3, 4), pair<string>("a"), later, x, y, overload(3), isString("s"), tuple, typeof u, await later2({ a: 1 })]
