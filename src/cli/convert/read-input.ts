import { isJsonRecord, type JsonRecord } from '../declarative/json-schema.ts'
import { CliFailure, EXIT } from '../failure.ts'
import { yamlValues } from '../yaml-text.ts'
import { InputNode, type Source } from './input-node.ts'

/** Largest input, in bytes. */
export const MAX_INPUT_BYTES = 4 * 1024 * 1024
/** Most documents of one input, members of lists included. */
export const MAX_INPUT_DOCUMENTS = 5_000

/** How a source of policy writes its documents. */
export interface InputForm {
  readonly spelling: Source['spelling']
  /** What helps with a text that is no YAML. */
  readonly hint: string | undefined
}

/**
 * The documents of a YAML or JSON text, the items of Kubernetes lists one by one; YAML holds JSON too.
 *
 * Throws a failure with exit code 2 for a text that is none, or beyond the limits; aliases are expanded a
 * hundred times at most.
 */
export function readInput(file: string, bytes: Uint8Array, form: InputForm): InputNode[] {
  const place = file === '-' ? 'stdin' : file
  if (bytes.length > MAX_INPUT_BYTES) {
    throw unreadable(place, `at most ${MAX_INPUT_BYTES} bytes, found ${bytes.length}`)
  }
  const values = parse(place, new TextDecoder().decode(bytes), form)
  const documents = values.flatMap(listed).flatMap((value, index, { length }) => {
    const one = length > 1 ? `${place} document ${index + 1}` : place
    if (value !== null && !isJsonRecord(value)) {
      throw unreadable(one, 'wanted an object with a kind', form.hint)
    }
    return value === null ? [] : expand(value, one, form)
  })
  if (documents.length > MAX_INPUT_DOCUMENTS) {
    throw unreadable(place, `at most ${MAX_INPUT_DOCUMENTS} documents, found ${documents.length}`)
  }
  return documents
}

/** A JSON text has no other way to hold several documents than a list. */
function listed(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [value]
}

function parse(place: string, text: string, { hint }: InputForm): unknown[] {
  const values = yamlValues(text)
  const fault = values.find((one) => one.fault !== undefined)?.fault
  if (fault !== undefined) throw unreadable(place, `no YAML or JSON: ${fault}`, hint)
  return values.map(({ value }) => value)
}

function expand(value: JsonRecord, place: string, { spelling }: InputForm): InputNode[] {
  const { items, kind } = value
  const isList = typeof kind === 'string' && kind.endsWith('List') && Array.isArray(items)
  const ones: readonly unknown[] = isList ? items : [value]
  return ones.map((one, index) => {
    const where = isList ? `${place} items[${index}]` : place
    return new InputNode(one, { place: where, title: titleOf(one), spelling })
  })
}

function titleOf(value: unknown): string {
  if (!isJsonRecord(value)) return 'document'
  const metadata = value['metadata']
  const kind = value['kind'] ?? value['Kind']
  const name = (isJsonRecord(metadata) ? metadata['name'] : undefined) ?? value['Name']
  return [kind, name]
    .filter((word) => typeof word === 'string')
    .map((word) => word.slice(0, 100))
    .join(' ')
}

function unreadable(place: string, detail: string, hint?: string): CliFailure {
  const next = hint === undefined ? [] : [hint]
  return new CliFailure(`cannot read ${place}: ${detail}`, { exitCode: EXIT.usage, next })
}
