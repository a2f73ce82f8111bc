import { type Command } from 'commander'
import { type RefreshedView } from '../../federation/poll/refresh-api.ts'
import { type Cli } from '../cli.ts'
import { CliFailure } from '../failure.ts'
import { table } from '../output.ts'
import { type DryRun, relationshipPath } from './federation-target.ts'

/** `federation refresh`: polls a peer now instead of at its next turn. */
export function registerRefresh(federation: Command, cli: Cli): void {
  federation
    .command('refresh')
    .description("fetch the peer's bundle now")
    .argument('<name>')
    .option(
      '--accept-lower-sequence',
      'take a bundle although its sequence went back, this once; for a peer restored from a backup',
    )
    .option('--dry-run', 'fetch and judge, store nothing')
    .action((name: string, options: DryRun & { readonly acceptLowerSequence?: boolean }) =>
      refresh(cli, name, options),
    )
}

async function refresh(
  cli: Cli,
  name: string,
  { dryRun, acceptLowerSequence }: DryRun & { readonly acceptLowerSequence?: boolean },
): Promise<void> {
  const target = `${await relationshipPath(cli, name)}/refresh`
  const refreshed = await cli.post<RefreshedView>(
    target,
    { acceptLowerSequence },
    { query: { dryRun } },
  )
  printRefreshed(cli, refreshed)
  const failed = refreshed.outcomes.find(({ error }) => error !== null)?.error
  if (failed === undefined || failed === null) return
  throw new CliFailure(failed.message, failed.next === null ? {} : { next: [failed.next] })
}

function printRefreshed(cli: Cli, refreshed: RefreshedView): void {
  if (cli.output !== 'table') {
    cli.print(refreshed)
    return
  }
  cli.printTable(
    table(refreshed.outcomes, [
      { title: 'TRUST-DOMAIN', value: ({ trustDomain }) => trustDomain },
      { title: 'OUTCOME', value: ({ outcome }) => outcome },
      { title: 'SEQ', value: ({ sequence }) => sequence ?? '-' },
    ]),
  )
  for (const warning of refreshed.outcomes.flatMap(({ warnings }) => warnings)) cli.warn(warning)
}
