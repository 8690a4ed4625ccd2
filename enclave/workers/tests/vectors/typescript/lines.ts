const arrow = (
  a: number,
  b: {
    c: string
  },
): Promise<
  number
> => Promise.resolve(a + b.c.length)
const arrow2 = async <
  T extends number,
>(
  a: T,
) => a
function ret() {
  return <
    T,
  >(a: T) => a
}
function ret2() {
  return <
    number
  >5
}
function ret3(): {
  a: number
}
{
  return { a: 1 }
}
const cast = arrow as (
  a: any,
  b: any,
) => any
interface Ö { a: number }
const wide = (a: number): // a comment
  Ö => ({ a })
export default [wide(4), await arrow(1, { c: "abc" }), await arrow2(2), ret()(3), ret2(), ret3(), await cast(1, { c: "" })]
