import { createHash } from 'node:crypto'
import { stringify } from 'yaml'
import { type Cli } from '../cli.ts'
import { format } from '../output.ts'
import { sanitizeLine } from '../sanitize.ts'
import { type FieldChange } from './compare.ts'
import { isJsonRecord, type JsonRecord, type JsonSchema, lean } from './json-schema.ts'
import { type Kind } from './kind.ts'
import { findKind, isNested, nameIn, targetOf } from './kinds.ts'
import { bodyOf } from './plan.ts'
import { readDescription } from './schemas.ts'

/** Objects as the API shows them. */
export interface Shown {
  readonly kind: string
  readonly views: readonly unknown[]
}

/**
 * Prints objects as the documents that `apply` takes, several divided by `---`: applying them again changes nothing.
 *
 * `--output json` prints the API's own answers instead.
 */
export async function printDocuments(cli: Cli, { kind: word, views }: Shown): Promise<void> {
  const kind = findKind(word)
  if (kind === undefined) throw new Error(`there is no kind ${word}`)
  const { create } = (await readDescription(cli)).of(kind)
  const texts: string[] = []
  for (const view of views.filter(isJsonRecord)) {
    const mesh = isNested(kind) ? await cli.meshId() : String(nameIn(kind, view))
    const about = { kind, mesh, view, create }
    const remark = kind.remark?.(view)
    const comment = remark === undefined ? '' : `# ${sanitizeLine(remark)}\n`
    texts.push(comment + format(await documentOf(cli, about), 'yaml'))
  }
  cli.printText(texts.length === 0 ? '# none' : texts.join('---\n'))
}

interface About {
  readonly kind: Kind
  readonly mesh: string
  readonly view: JsonRecord
  readonly create: JsonSchema
}

async function documentOf(cli: Cli, { kind, mesh, view, create }: About): Promise<JsonRecord> {
  const target = targetOf(kind, mesh, String(nameIn(kind, view)))
  const body = await bodyOf(cli, { kind, target, view, create })
  const document = lean(create, body)
  const members = isJsonRecord(document) ? Object.entries(document) : []
  // A mesh names itself by `mesh`.
  const own = members.filter(([name]) => isNested(kind) || name !== kind.nameMember)
  return { kind: kind.kind, mesh, ...Object.fromEntries(own) }
}

/** Changes as lines that begin with - and +. */
export function changeLines(changes: readonly FieldChange[]): string[] {
  return changes.flatMap(({ field, ...change }) => [
    ...('before' in change ? [`- ${sanitizeLine(field)}: ${valueText(change.before)}`] : []),
    ...('after' in change ? [`+ ${sanitizeLine(field)}: ${valueText(change.after)}`] : []),
  ])
}

/** Characters of one value on a line; a longer one is told by its digest. */
const MAX_CHARACTERS = 200

function valueText(value: unknown): string {
  if (typeof value === 'string' && value.length > MAX_CHARACTERS) {
    const digest = createHash('sha256').update(value).digest('hex').slice(0, 16)
    return `(${value.length} characters, SHA-256 ${digest}…)`
  }
  const text = stringify(value, { collectionStyle: 'flow', lineWidth: 0 }).trim()
  return sanitizeLine(text.includes('\n') ? JSON.stringify(value) : text)
}
