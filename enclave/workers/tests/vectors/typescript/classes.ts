interface Named { name: string }
interface Aged<T> { age: T }
abstract class Base<T = string> {
  protected abstract readonly kind: string
  abstract describe(): string
  abstract get size(): number
  static count = 0
  constructor(public readonly id: T, protected label: string = "none", plain?: number) {
    Base.count += plain ?? 1
  }
  public static make<T>(this: void, value: T): T { return value }
  private secret?(): number
}
class Person extends Base<number> implements Named, Aged<number> {
  protected override readonly kind: string = "person"
  #hidden: number = 3
  age = 4
  declare extra: string
  constructor(public name: string, private readonly other = name + "!") {
    super(1, "label")
    this.age++
  }
  override describe(): string { return `${this.kind} ${this.name} ${this.other} ${this.id} ${this.label}` }
  get size(): number { return this.#hidden }
  set size(value: number) { this.#hidden = value }
  private async later<T extends unknown[]>(...args: T): Promise<T> { return args }
  public async *items(): AsyncGenerator<number, void> { yield 1 }
  optional?(): void {}
  run(a: string): void
  run(a: number): void
  run(a: unknown) { return a }
  protected static override readonly mark = "m"
  static { Person.count += 10 }
  async both() { return (await this.later(1, "a")).length }
}
const anonymous = class implements Named { name = "anon" }
const generic = class<T> extends Array<T> implements Iterable<T> {}
class Strict {
  "use": number
  constructor(private a: number) { "use strict"; this.use = this.a }
}
const person = new Person("Ann")
person.size = 8
const items: number[] = []
for await (const item of person.items()) items.push(item)
export default [person.describe(), person.size, person.age, Base.count, Base.make<number>(2), Person["mark"], await person.both(), Object.keys(person),
  new anonymous().name, new generic<number>(3).length, person.run(5), items, new Strict(5), "extra" in person]
