import {
  type RefusedIdentitiesView,
  type ShownIdentitiesView,
} from '../../policy/binding/identities-api.ts'
import { type ExportView, type ImportedOfferView } from '../../policy/binding/offers-api.ts'
import { type Cli } from '../cli.ts'
import { path } from '../client.ts'
import { usageFailure } from '../failure.ts'
import { type Table, table } from '../output.ts'

/** Between whom all rules together are to be shown. */
export interface EffectiveOptions {
  readonly to?: string
  readonly from?: string
}

/** Prints what all rules together show to one peer, or take from it. */
export async function listEffective(cli: Cli, { to, from }: EffectiveOptions): Promise<void> {
  if ((to === undefined) === (from === undefined)) {
    throw usageFailure(
      '--effective needs one peer',
      'entente rule list --effective --to globex',
      'entente rule list --effective --from globex',
    )
  }
  const mesh = await cli.meshId()
  if (to !== undefined) {
    const target = path`/meshes/${mesh}/relationships/${to}/exports`
    const { items, identities } = await effective<ExportView, ShownIdentitiesView>(cli, target)
    print(cli, { listed: exportsTable(items, to), identities, said: shownText(identities, to) })
    return
  }
  const target = path`/meshes/${mesh}/relationships/${from ?? ''}/offers`
  const { items, identities } = await effective<ImportedOfferView, RefusedIdentitiesView>(
    cli,
    target,
  )
  const said = refusedText(identities, from ?? '')
  print(cli, { listed: importsTable(items, from ?? ''), identities, said })
}

interface Effective<T, I> {
  readonly items: readonly T[]
  /** The same on each page. */
  readonly identities: I
}

async function effective<T, I>(cli: Cli, target: string): Promise<Effective<T, I>> {
  const items: T[] = []
  let cursor: string | undefined
  for (;;) {
    const query = { limit: 500, cursor }
    const page = await cli.get<Effective<T, I> & { nextCursor: string | null }>(target, { query })
    items.push(...page.items)
    if (page.nextCursor === null) return { items, identities: page.identities }
    cursor = page.nextCursor
  }
}

interface Printed {
  readonly listed: Table
  readonly identities: object
  readonly said: string | undefined
}

function print(cli: Cli, { listed, identities, said }: Printed): void {
  if (cli.output !== 'table') return cli.print({ items: listed.rows, identities })
  cli.printTable(listed)
  if (said !== undefined) cli.say(`\n${said}`)
}

function shownText({ shown, refused }: ShownIdentitiesView, peer: string): string {
  if (shown.length === 0) return `identities that may call ${peer}: none`
  const but = refused.length === 0 ? '' : ` but not ${patternsText(refused)}`
  return `identities that may call ${peer}: ${patternsText(shown)}${but}`
}

function refusedText({ refused }: RefusedIdentitiesView, peer: string): string | undefined {
  return refused.length === 0
    ? undefined
    : `identities of ${peer} that count for nothing: ${patternsText(refused)}`
}

function patternsText(patterns: RefusedIdentitiesView['refused']): string {
  return patterns
    .map(({ path: text, clusters }) =>
      clusters === null ? text : `${text} (cluster ${clusters.join(', ')})`,
    )
    .join(', ')
}

function exportsTable(exports: readonly ExportView[], peer: string) {
  return table(
    exports,
    [
      { title: 'SERVICE', value: ({ namespace, name }) => `${namespace}/${name}` },
      { title: `AT ${peer.toUpperCase()}`, value: ({ exportedName }) => exportedName },
      { title: 'STATE', value: ({ state }) => state },
      { title: 'PORTS', value: ({ ports }) => ports.map(({ name }) => name).join(', ') },
      { title: 'CALLERS', value: callersText },
      { title: 'CLUSTERS', value: ({ clusters }) => clusters.join(', ') },
      { title: 'WHY', value: ({ reason }) => reason },
    ],
    [
      `nothing is shown to ${peer}`,
      `entente explain --may-see NAMESPACE/NAME --to ${peer}   # what is missing for it`,
    ],
  )
}

function importsTable(offers: readonly ImportedOfferView[], peer: string) {
  return table(
    offers,
    [
      { title: 'OFFER', value: ({ namespace, name }) => `${namespace}/${name}` },
      { title: 'STATE', value: ({ state }) => state },
      { title: 'HOSTNAME', value: ({ hostname }) => hostname },
      { title: 'VISIBLE TO', value: ({ visibleTo }) => visibleTo.join(', ') },
      { title: 'CLUSTERS', value: ({ clusters }) => clusters.join(', ') },
      { title: 'WHY', value: ({ reason }) => reason },
    ],
    [
      `no offers of ${peer} on record`,
      `entente service add --of ${peer} NAMESPACE/NAME --port http:8080 --identity PATH`,
    ],
  )
}

function callersText({ callers, refused }: ExportView): string {
  return refused.length === 0
    ? callers.join(', ')
    : `${callers.join(', ')} but not ${refused.join(', ')}`
}
