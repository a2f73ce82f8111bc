import { type Document, isScalar, parseAllDocuments, visit } from 'yaml'
import { messageOf } from '../errors.ts'

/** What one document of a text holds, or why it cannot be read. */
export interface YamlValue {
  readonly value: unknown
  readonly fault?: string
}

/** How often aliases of one document are expanded. */
const MAX_ALIASES = 100

/**
 * The documents of a YAML text, an empty one as `null`; YAML holds JSON too.
 *
 * Keys that stand twice are looked for here: the parser compares each with all others of its map, which takes minutes
 * for a map of a hundred thousand.
 */
export function yamlValues(text: string): readonly YamlValue[] {
  const parsed = parseAllDocuments(text, { uniqueKeys: false, logLevel: 'error' })
  return Array.isArray(parsed) ? parsed.map(valueOf) : []
}

function valueOf(document: Document.Parsed): YamlValue {
  try {
    const [error] = document.errors
    const fault = error === undefined ? repeatedKey(document) : firstLine(error.message)
    if (fault !== undefined) return { value: undefined, fault }
    return { value: document.toJS({ maxAliasCount: MAX_ALIASES }) as unknown }
  } catch (thrown) {
    return { value: undefined, fault: firstLine(messageOf(thrown)) }
  }
}

function repeatedKey(document: Document.Parsed): string | undefined {
  let repeated: string | undefined
  visit(document, {
    Map(_key, { items }) {
      const seen = new Set<unknown>()
      for (const { key } of items) {
        const name: unknown = isScalar(key) ? String(key.value) : key
        if (seen.has(name)) {
          repeated = `Map keys must be unique; found ${JSON.stringify(name)} twice`
          return visit.BREAK
        }
        seen.add(name)
      }
      return undefined
    },
  })
  return repeated
}

function firstLine(text: string): string {
  return text.split('\n', 1)[0] ?? text
}
