import { type ExportView, type ImportedOfferView } from '../../policy/binding/offers-api.ts'
import { type Cli } from '../cli.ts'
import { path } from '../client.ts'
import { usageFailure } from '../failure.ts'
import { table } from '../output.ts'

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
    cli.printTable(exportsTable(await cli.list<ExportView>(target), to))
    return
  }
  const target = path`/meshes/${mesh}/relationships/${from ?? ''}/offers`
  cli.printTable(importsTable(await cli.list<ImportedOfferView>(target), from ?? ''))
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
