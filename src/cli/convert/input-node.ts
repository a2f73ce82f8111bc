/** Where a document came from, and how a person calls it: `ExportedServiceSet globex`. */
export interface Source {
  readonly place: string
  readonly title: string
  /** How members are compared; Consul spells the same member in three ways. */
  readonly spelling: (member: string) => string
}

/** A part of the input that was not converted, by name: where it is, and why. */
export interface Refusal {
  readonly source: Source
  /** The path inside the document: `spec.importRules[0].importAsLocal`. */
  readonly at: string
  readonly detail: string
}

/** Thrown by {@link InputNode} at whatever is not as it must be. */
export class RefusedInput extends Error {
  readonly refusal: Refusal

  constructor(refusal: Refusal) {
    super(refusal.detail)
    this.refusal = refusal
  }
}

/** Most items of one list of the input. */
export const MAX_ITEMS = 5_000
/** Longest text of the input that is looked at, in characters. */
export const MAX_TEXT = 512

/** A value somewhere in a document of somebody else's, with the path to it; nothing of it is believed unread. */
export class InputNode {
  readonly value: unknown
  readonly at: string
  readonly source: Source

  constructor(value: unknown, source: Source, at = '') {
    this.value = value
    this.source = source
    this.at = at
  }

  /** Nothing is there, or null. */
  get isAbsent(): boolean {
    return this.value === undefined || this.value === null
  }

  /** The member of this name; absent when the object has none. Throws when this is something else than an object. */
  member(name: string): InputNode {
    const wanted = this.source.spelling(name)
    const found = this.names().find((one) => this.source.spelling(one) === wanted)
    return found === undefined ? this.#child(undefined, name) : this.#own(found)
  }

  /** Every member; none when absent. Throws when this is something else than an object. */
  members(): readonly (readonly [name: string, node: InputNode])[] {
    return this.names().map((name) => [name, this.#own(name)] as const)
  }

  /** The names of the members. */
  names(): readonly string[] {
    if (this.isAbsent) return []
    if (typeof this.value !== 'object' || Array.isArray(this.value)) {
      throw this.refused('it must be an object')
    }
    return Object.keys(this.value ?? {})
  }

  /** The items of a list of at most {@link MAX_ITEMS}; none when absent. */
  items(): readonly InputNode[] {
    if (this.isAbsent) return []
    if (!Array.isArray(this.value)) throw this.refused('it must be a list')
    const items: readonly unknown[] = this.value
    if (items.length > MAX_ITEMS) {
      throw this.refused(`at most ${MAX_ITEMS} items, found ${items.length}`)
    }
    return items.map((item, index) => new InputNode(item, this.source, `${this.at}[${index}]`))
  }

  /** A text of at most {@link MAX_TEXT} characters; empty when absent. */
  text(): string {
    if (this.isAbsent) return ''
    if (typeof this.value !== 'string') throw this.refused('it must be a text')
    if (this.value.length > MAX_TEXT) {
      throw this.refused(`at most ${MAX_TEXT} characters, found ${this.value.length}`)
    }
    return this.value
  }

  /** True or false; false when absent. */
  flag(): boolean {
    if (this.isAbsent) return false
    if (typeof this.value !== 'boolean') throw this.refused('it must be true or false')
    return this.value
  }

  /** What is to be thrown, or kept, when this part is not converted. */
  refused(detail: string): RefusedInput {
    return new RefusedInput({ source: this.source, at: this.at, detail })
  }

  #own(name: string): InputNode {
    const { value } = this
    const own: unknown =
      typeof value === 'object' && value !== null
        ? Object.getOwnPropertyDescriptor(value, name)?.value
        : undefined
    return this.#child(own, name)
  }

  #child(value: unknown, name: string): InputNode {
    return new InputNode(value, this.source, this.at === '' ? name : `${this.at}.${name}`)
  }
}
