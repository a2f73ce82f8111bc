import { type Command } from 'commander'
import {
  type ChangedStandingView,
  type PeerAuthoritiesView,
} from '../../federation/standing-api.ts'
import { type Cli } from '../cli.ts'
import { formatNext, table } from '../output.ts'
import { DRY_RUN, type DryRun, effectColumns, relationshipPath } from './federation-target.ts'

const ACTS = {
  approve: 'give our consent; prints the authorities that it makes trusted: --dry-run first',
  withdraw: 'withdraw our consent: bundles and exports are withheld at once, on both sides',
  suspend: "withhold a peer's bundles and our exports at once; polls go on",
  resume: 'end a suspension of ours',
} as const

type Act = keyof typeof ACTS

const DONE: Readonly<Record<Act, string>> = {
  approve: 'approved',
  withdraw: 'withdrawn from',
  suspend: 'suspended',
  resume: 'resumed',
}

/** `federation approve`, `withdraw`, `suspend` and `resume`. */
export function registerStanding(federation: Command, cli: Cli): void {
  for (const act of Object.keys(ACTS) as Act[]) {
    federation
      .command(act)
      .description(ACTS[act])
      .argument('<name>')
      .option('--reason <text>', 'for people; shown with the relationship')
      .option(...DRY_RUN)
      .action((name: string, options: DryRun & { readonly reason?: string }) =>
        actOn(cli, { act, name, ...options }),
      )
  }
}

async function actOn(
  cli: Cli,
  about: DryRun & { readonly act: Act; readonly name: string; readonly reason?: string },
): Promise<void> {
  const { act, name, reason, dryRun } = about
  const target = await relationshipPath(cli, name)
  const ifMatch = dryRun === true ? undefined : await cli.etag(target)
  const answer = await cli.post<ChangedStandingView>(
    `${target}/${act}`,
    { reason },
    { ifMatch, query: { dryRun } },
  )
  if (cli.output !== 'table') {
    cli.print(answer)
    return
  }
  cli.say(
    dryRun === true
      ? `relationship ${name} would be ${DONE[act]} and then ${answer.relationship.state}`
      : `relationship ${name} is ${DONE[act]}; its state is ${answer.relationship.state}`,
  )
  if (act === 'approve') {
    printAuthorities(cli, answer.peerAuthorities)
    printFingerprints(cli, answer)
  }
  if (act === 'suspend' || act === 'withdraw') {
    cli.printTable(table(answer.effects, effectColumns, 'nothing else is withheld'))
  }
  for (const cause of answer.relationship.waitingFor) cli.say(`waits for ${cause}`)
  cli.printText(formatNext(answer.next))
}

/** Both sides read the same digits for both bundles, or somebody stands between them. */
function printFingerprints(cli: Cli, { peerAuthorities, ours }: ChangedStandingView): void {
  const theirs = peerAuthorities.filter(({ fingerprint }) => fingerprint !== null)
  if (theirs.length === 0) return
  cli.say('compare aloud, the same digits must stand on the other side:')
  for (const { trustDomain, fingerprint } of [...theirs, ...ours]) {
    cli.say(`  ${trustDomain}  ${fingerprint}`)
  }
}

/** The peer's keys, to be compared over the telephone or another way. */
function printAuthorities(cli: Cli, domains: readonly PeerAuthoritiesView[]): void {
  const rows = domains.flatMap(({ trustDomain, authorities }) =>
    authorities.map((authority) => ({ trustDomain, ...authority })),
  )
  cli.printTable(
    table(
      rows,
      [
        { title: 'TRUST-DOMAIN', value: ({ trustDomain }) => trustDomain },
        { title: 'KIND', value: ({ kind }) => kind },
        { title: 'PUBLIC-KEY-SHA256', value: ({ publicKeySha256 }) => publicKeySha256 },
        { title: 'UNTIL', value: ({ notAfter }) => notAfter ?? '-' },
      ],
      'no bundle of the peer is stored yet; compare its keys once it is: entente federation show',
    ),
  )
}
