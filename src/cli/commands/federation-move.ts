import { type Command } from 'commander'
import { type MovedPeerView, type MoveStatusView } from '../../federation/exchange/move-api.ts'
import { type Cli } from '../cli.ts'
import { path } from '../client.ts'
import { usageFailure } from '../failure.ts'
import { type Column, formatNext, table } from '../output.ts'

interface MoveOptions {
  readonly url?: string
  readonly dryRun?: boolean
}

/** `federation move`: have the mesh reached under another host, and see who has not followed. */
export function registerMove(federation: Command, cli: Cli): void {
  federation
    .command('move')
    .description(
      'have this mesh reached under another host; Entente peers get a proposal, the old host is answered under until nobody came by it for a day',
    )
    .argument('[status]', 'status: where the mesh is reached and was, and who has not followed')
    .option('--url <url>', 'the new base of our URLs, such as https://spiffe.example.com:8443')
    .option('--dry-run', 'show the effect and change nothing')
    .action((word: string | undefined, options: MoveOptions) => move(cli, word, options))
}

async function move(cli: Cli, word: string | undefined, options: MoveOptions): Promise<void> {
  const { url, dryRun } = options
  if (word !== undefined && (word !== 'status' || url !== undefined)) {
    throw usageFailure(
      'wanted --url URL, or the word status',
      'entente federation move --url https://HOST[:PORT]',
    )
  }
  const target = path`/meshes/${await cli.meshId()}/move`
  const status =
    url === undefined
      ? await cli.get<MoveStatusView>(target)
      : await cli.post<MoveStatusView>(target, { url }, { query: { dryRun } })
  if (cli.output !== 'table') {
    cli.print(status)
    return
  }
  cli.say(`the bundle ${dryRun === true ? 'would be' : 'is'} at ${status.url}`)
  for (const { host, lastFetchAt, endsAt, readers } of status.formerHosts) {
    const who = readers.map(({ label }) => label).join(', ')
    cli.say(
      `${host} is answered under until ${endsAt}, or a day after the last fetch by it; last fetch: ${lastFetchAt ?? 'none'}${who === '' ? '' : ` (${who})`}`,
    )
  }
  cli.printTable(table(status.peers, COLUMNS, 'no peers'))
  cli.printText(formatNext(status.next))
}

const COLUMNS: readonly Column<MovedPeerView>[] = [
  { title: 'PEER', value: ({ relationship }) => relationship },
  { title: 'STATE', value: ({ state }) => state },
  { title: 'FOLLOWED', value: followed },
  { title: 'CAME-BY', value: ({ lastHost }) => lastHost ?? '-' },
]

function followed({ speaksEntente, hasOurParameters }: MovedPeerView): string {
  if (!speaksEntente) return 'must be told'
  if (hasOurParameters === null) return 'not heard of yet'
  return hasOurParameters ? 'yes' : 'not yet'
}
