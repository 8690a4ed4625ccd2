namespace Shapes {
  export interface Shape { area: number }
  const hidden = 2
  export const pi = 3, [two, { three }] = [hidden, { three: 3 }] as const
  export function area(radius: number): number { return pi * radius ** hidden }
  export class Circle implements Shape { constructor(public radius: number) {} get area() { return area(this.radius) } }
  export enum Kind { Round, Square = "s" }
  export namespace Inner { export const deep = pi + 1 }
  export type Alias = Shape
}
namespace A.B.C { export const value = 1; export const other = value + 1 }
namespace OnlyTypes { export type T = string; interface I { a: 1 } }
declare namespace Ambient { const a: number }
class Merged { a = 1 }
namespace Merged { export const extra = 2 }
function merged() { return 1 }
namespace merged { export const version = "v" }
export namespace Out { export const x = 1 }
export class Both {}
export namespace Both { export const y = 2 }
import Alias = A.B.C
import Unused = A.B
export import Shown = A.B.C
export default [Shapes.pi, Shapes.two, Shapes.three, new Shapes.Circle(2).area, Shapes.Kind, Shapes.Inner.deep, A.B.C, Merged.extra, merged.version, merged(), Out, Both.y, Alias.other]
