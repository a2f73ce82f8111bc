import { type Command } from 'commander'
import { type TrustedAuthorityView, type TrustView } from '../../federation/trust/trust-api.ts'
import { type Cli } from '../cli.ts'
import { path } from '../client.ts'
import { type Column, table } from '../output.ts'

interface TrustOptions {
  readonly at?: string
  readonly trustDomain?: string
}

const COLUMNS: readonly Column<TrustedAuthorityView>[] = [
  { title: 'DOMAIN', value: ({ trustDomain }) => trustDomain },
  { title: 'KIND', value: ({ kind }) => kind },
  { title: 'FINGERPRINT', value: ({ publicKeySha256 }) => publicKeySha256 },
  { title: 'VALID UNTIL', value: validUntil },
  { title: 'SINCE', value: ({ since }) => since },
  { title: 'WHY', value: ({ why }) => why },
]

/** `trust`: exactly whom a mesh trusts, or trusted at a moment, since when, and why. */
export function registerTrust(program: Command, cli: Cli): void {
  program
    .command('trust')
    .description('list every authority that the mesh trusts, own and foreign, since when and why')
    .option('--at <time>', 'a moment that has passed, such as 2027-01-15T08:00:00Z; default now')
    .option('--trust-domain <td>', 'only this one')
    .action((options: TrustOptions) => trust(cli, options))
}

async function trust(cli: Cli, { at, trustDomain }: TrustOptions): Promise<void> {
  const mesh = await cli.meshId()
  const target = path`/meshes/${mesh}/trust`
  const first = await cli.get<TrustView>(target, { query: { at, trustDomain, limit: 500 } })
  const items = [...first.items]
  let cursor = first.nextCursor
  while (cursor !== null) {
    const page = await cli.get<TrustView>(target, { query: { trustDomain, limit: 500, cursor } })
    items.push(...page.items)
    cursor = page.nextCursor
  }
  if (cli.output !== 'table') {
    cli.print({ at: first.at, completeSince: first.completeSince, items })
    return
  }
  cli.say(`mesh ${mesh} at ${first.at}:`)
  cli.printTable(table(items, COLUMNS, 'it trusted nobody'))
  if (first.at < first.completeSince) {
    cli.warn(`the history is whole since ${first.completeSince}; before, peers may be missing`)
  }
}

function validUntil({ notAfter, isWithinValidity }: TrustedAuthorityView): string {
  if (notAfter === null) return '-'
  return isWithinValidity ? notAfter : `${notAfter} (not valid then)`
}
