interface OnlyType { a: number }
type Other = OnlyType
const value = 1, second = 2
export { value, type OnlyType, second as renamed }
export { Other }
export type { OnlyType as Again }
export type Third = string
export interface Fourth {}
export declare const ambient: number
export declare function ambient2(): void
export abstract class Abstract { abstract a(): void; b() { return 1 } }
export const typed: number = 3 as number
export function overload(a: string): string
export function overload(a: any) { return a }
export async function generic<T>(a: T): Promise<T> { return a }
class Impl extends Abstract { a() {} }
export as namespace Umd
export default [value, second, typed, overload("o"), await generic(4), new Impl().b()] as unknown[]
