import Default, { named, type Kind, Type, other as renamed } from "data:text/javascript,export default 1; export const named = 2, other = 3"
import OnlyDefault, * as space from "data:text/javascript,export default 4; export const a = 5"
import type { Gone } from "nowhere"
import { Nothing } from "nowhere"
import Nothing2, {
  // a comment
  Nothing3,
} from "nowhere"
import type Gone2 from "nowhere"
import * as Gone3 from "nowhere"
import "data:text/javascript,globalThis.effect = 6"
import {
  a,
  Shadow,
  type Kind as Kind2,
} from "data:text/javascript,export const a = 7"
export * from "data:text/javascript,"
export type * from "nowhere"
export { type B } from "nowhere"
export { named as again, type C } from "data:text/javascript,export const named = 8"
const typed = (value: Nothing, other: typeof Gone3, kind: Kind | Kind2 | Type | Shadow): Nothing2 | Nothing3 | Gone | Gone2 | OnlyDefault => value as never
export default [Default, named, renamed, space.a, a, (globalThis as any).effect, typeof typed]
