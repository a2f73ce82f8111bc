import { createHash } from 'node:crypto'
import { type JsonRecord } from '../declarative/json-schema.ts'
import { type InputNode, type Refusal, RefusedInput } from './input-node.ts'

/** What a conversion comes to. */
export interface Conversion {
  /** Documents for `apply -f`: peer groups first, since rules name them. */
  readonly documents: readonly JsonRecord[]
  readonly refusals: readonly Refusal[]
  /** What a reader of the documents must know; nothing of the input was left out for it. */
  readonly remarks: readonly string[]
}

/** A rule as a document has it, without kind and name. */
export interface RuleBody {
  readonly direction: 'export' | 'import'
  readonly effect: 'allow' | 'deny'
  readonly subject: JsonRecord
  readonly audience: JsonRecord
  readonly as?: { readonly namespace?: string; readonly name?: string }
  readonly priority?: number
  readonly visibleTo?: readonly string[]
}

/** Most documents that one conversion prints; more are refused. */
export const MAX_DOCUMENTS = 10_000

const MAX_NAME = 63
const MAX_NOTE = 500

/** A conversion in the making. Names depend on the input and nothing else, so converting again changes nothing. */
export class Draft {
  readonly #mesh: string | undefined
  readonly #groups = new Map<string, JsonRecord>()
  readonly #rules = new Map<string, JsonRecord>()
  readonly #bodies = new Set<string>()
  readonly #refusals: Refusal[] = []
  readonly #remarks = new Set<string>()

  /** `mesh` is written into every document; without it `apply` asks which. */
  constructor(mesh: string | undefined) {
    this.#mesh = mesh
  }

  /** Adds a rule named by `words`, unless there is the same; the note tells which part of the input it comes from. */
  rule(words: readonly string[], body: RuleBody, from: InputNode): void {
    if (this.#rules.size >= MAX_DOCUMENTS) {
      throw from.refused(`it would make more than ${MAX_DOCUMENTS} rules; divide the input`)
    }
    const text = JSON.stringify(body)
    if (this.#bodies.has(text)) return
    this.#bodies.add(text)
    const name = this.#freeName(words)
    const note = `${from.source.title} ${from.at}`.trim().slice(0, MAX_NOTE)
    this.#rules.set(name, { ...this.#head('Rule'), name, ...body, note })
  }

  /** Adds a rule that many parts of the input may ask for, once. */
  ruleOnce(words: readonly string[], body: RuleBody, note: string): void {
    const name = ruleName(words)
    if (!this.#rules.has(name)) {
      this.#rules.set(name, { ...this.#head('Rule'), name, ...body, note })
    }
  }

  /** Adds a peer group. */
  group(name: string, members: readonly JsonRecord[]): void {
    this.#groups.set(name, { ...this.#head('PeerGroup'), name, members })
  }

  /** Tells that a part of the input was not converted. */
  refuse(node: InputNode, detail: string): void {
    this.#refusals.push(node.refused(detail).refusal)
  }

  /** Tells something that the reader must know, once. */
  remark(text: string): void {
    this.#remarks.add(text)
  }

  /** Runs one part; what it throws as refused is told, and undefined its result. */
  attempt<T>(part: () => T): T | undefined {
    try {
      return part()
    } catch (thrown) {
      if (!(thrown instanceof RefusedInput)) throw thrown
      this.#refusals.push(thrown.refusal)
      return undefined
    }
  }

  /** What it came to. */
  end(): Conversion {
    return {
      documents: [...this.#groups.values(), ...this.#rules.values()],
      refusals: this.#refusals,
      remarks: [...this.#remarks],
    }
  }

  #head(kind: string): JsonRecord {
    return { kind, ...(this.#mesh !== undefined && { mesh: this.#mesh }) }
  }

  #freeName(words: readonly string[]): string {
    const name = ruleName(words)
    for (let count = 2; ; count += 1) {
      const candidate = count === 2 && !this.#rules.has(name) ? name : ruleName([name, `${count}`])
      if (!this.#rules.has(candidate)) return candidate
    }
  }
}

/** A DNS label from words: `*` becomes `all`; what is too long is cut and told apart by a digest. */
function ruleName(words: readonly string[]): string {
  const text = words
    .map((word) => word.replaceAll('*', 'all'))
    .join('-')
    .toLowerCase()
    .replaceAll(/[^a-z0-9-]+/g, '-')
    .replaceAll(/^-+|-+$/g, '')
  if (text.length <= MAX_NAME) return text
  const digest = createHash('sha256').update(words.join('\0')).digest('hex').slice(0, 8)
  return `${text.slice(0, MAX_NAME - 9)}-${digest}`
}
