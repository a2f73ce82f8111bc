import { convertPolicy } from '../../../src/cli/convert/convert.ts'
import { type ConvertOptions, type Origin } from '../../../src/cli/convert/options.ts'

/** What a conversion came to, easy to compare. */
export interface Converted {
  // oxlint-disable-next-line typescript/no-explicit-any -- tests look into documents of many shapes
  readonly documents: readonly any[]
  /** Title and path of every part that was refused. */
  readonly refused: readonly string[]
  readonly details: readonly string[]
  readonly remarks: readonly string[]
}

/** Converts a text, or a value as JSON, as `rule convert` does. */
export function converted(
  from: Origin,
  input: string | object,
  options: Partial<ConvertOptions> = {},
): Converted {
  const text = typeof input === 'string' ? input : JSON.stringify(input)
  const { documents, refusals, remarks } = convertPolicy(
    { from, file: 'in.yaml', bytes: new TextEncoder().encode(text) },
    {
      group: 'clusterset',
      peers: [],
      callerPath: '/ns/{namespace}/dc/dc1/svc/{name}',
      ...options,
    },
  )
  return {
    documents,
    refused: refusals.map(({ source, at }) => `${source.title} ${at}`.trim()),
    details: refusals.map(({ detail }) => detail),
    remarks,
  }
}

/** The rules among documents, each as a short line: who, what, to whom. */
export function lines({ documents }: Pick<Converted, 'documents'>): string[] {
  return documents
    .filter(({ kind }) => kind === 'Rule')
    .map(({ direction, effect, subject, audience, as, priority }) => {
      const what = subject.identity ?? `${subject.namespace}/${subject.name}`
      const labels = subject.labels === undefined ? '' : ' labelled'
      const whom = [...(audience.relationships ?? []), ...(audience.groups ?? []).map(group)]
      const who = audience.kind === 'peers' ? whom.join(',') : audience.kind
      const callers = audience.callers
      const narrowed = callers
        ? ` by ${[...(callers.namespaces ?? []), ...(callers.paths ?? [])].join(',')}`
        : ''
      const alias = as === undefined ? '' : ` as ${as.namespace ?? '-'}/${as.name ?? '-'}`
      const rank = priority === undefined ? '' : ` #${priority}`
      return `${direction} ${effect} ${what}${labels} ${who}${narrowed}${alias}${rank}`
    })
}

function group(name: string): string {
  return `@${name}`
}
