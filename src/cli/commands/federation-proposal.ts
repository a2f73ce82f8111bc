import { type Command, Option } from 'commander'
import { type RelationshipView } from '../../federation/api.ts'
import { type ProposedView } from '../../federation/proposal/propose-api.ts'
import { type ProposalView } from '../../federation/proposal/proposal-api.ts'
import { type Cli } from '../cli.ts'
import { usageFailure } from '../failure.ts'
import { formatNext, table } from '../output.ts'
import { givenBundle } from './bundle-text.ts'
import { DRY_RUN, type DryRun, relationshipPath } from './federation-target.ts'

interface ChangeOptions extends DryRun {
  readonly trustDomain?: string
  readonly profile?: 'https_web' | 'https_spiffe' | 'static'
  readonly url?: string
  readonly endpointId?: string
  readonly bundleFile?: string
  readonly remove?: readonly string[]
  readonly note?: string
}

/** `federation change` and `federation proposal`: pinned parameters change when both sides consent. */
export function registerProposals(federation: Command, cli: Cli): void {
  federation
    .command('change')
    .description('propose other parameters of a peer; those in force stay until both sides consent')
    .argument('<name>')
    .option('--trust-domain <td>', 'of the peer: one that it has, or one to add')
    .addOption(
      new Option('--profile <profile>', 'how its bundle endpoint proves itself').choices([
        'https_web',
        'https_spiffe',
        'static',
      ]),
    )
    .option('--url <url>', 'its bundle endpoint')
    .option('--endpoint-id <id>', 'SPIFFE ID of that endpoint, with https_spiffe')
    .option('--bundle-file <file>', 'its bundle, JSON or PEM, where none is stored (- for stdin)')
    .option('--remove <td...>', 'trust domains to take away')
    .option('--note <text>', 'for people')
    .option(...DRY_RUN)
    .action((name: string, options: ChangeOptions) => change(cli, name, options))
  const proposal = federation
    .command('proposal')
    .description('changes of pinned parameters that wait for consent')
  proposal
    .command('list')
    .description('list what waits: at most one change of each side')
    .argument('<name>')
    .action((name: string) => list(cli, name))
  for (const what of ['approve', 'drop'] as const) {
    proposal
      .command(what)
      .description(
        what === 'approve'
          ? 'consent to a change; it is in force when both sides have'
          : 'take a change back, or refuse one',
      )
      .argument('<name>')
      .argument('<id>', 'of the proposal')
      .option(...DRY_RUN)
      .action((name: string, id: string, options: DryRun) =>
        decide(cli, { name, id, what, ...options }),
      )
  }
}

async function change(cli: Cli, name: string, options: ChangeOptions): Promise<void> {
  const target = await relationshipPath(cli, name)
  const view = await cli.get<RelationshipView>(target)
  const removed = new Set(options.remove ?? [])
  const kept = view.domains.filter(
    ({ trustDomain }) => !removed.has(trustDomain) && trustDomain !== options.trustDomain,
  )
  const wanted = await wantedDomain(cli, options)
  const domains = [
    ...kept.map(({ trustDomain, source, endpointUrl, endpointSpiffeId }) => ({
      trustDomain,
      source,
      endpointUrl: endpointUrl ?? undefined,
      endpointSpiffeId: endpointSpiffeId ?? undefined,
    })),
    ...wanted,
  ]
  const { dryRun, note } = options
  const ifMatch = dryRun === true ? undefined : `"v${view.version}"`
  const answer = await cli.post<ProposedView>(
    `${target}/proposals`,
    { domains, note },
    { ifMatch, query: { dryRun } },
  )
  printProposed(cli, answer, dryRun === true ? 'would be proposed' : 'is proposed')
}

async function wantedDomain(cli: Cli, options: ChangeOptions) {
  const { trustDomain, profile, url, endpointId, bundleFile, remove } = options
  if (trustDomain === undefined && remove !== undefined) return []
  if (trustDomain === undefined || profile === undefined) {
    throw usageFailure(
      'which domain is to change, and how is its bundle fetched then',
      'give --trust-domain and --profile, or --remove',
    )
  }
  const file = bundleFile === undefined ? undefined : await cli.readInput(bundleFile)
  const given = file === undefined ? {} : givenBundle(new TextDecoder().decode(file))
  const endpoint = { endpointUrl: url, endpointSpiffeId: endpointId }
  return [{ trustDomain, source: profile, ...endpoint, ...given }]
}

async function list(cli: Cli, name: string): Promise<void> {
  const target = await relationshipPath(cli, name)
  const { items } = await cli.get<{ items: ProposalView[] }>(`${target}/proposals`)
  cli.printTable(
    table(
      items,
      [
        { title: 'ID', value: ({ id }) => id },
        { title: 'FROM', value: ({ origin, createdBy }) => `${origin} (${createdBy})` },
        { title: 'OUR-CONSENT', value: ({ ourConsent }) => (ourConsent ? 'given' : 'pending') },
        {
          title: 'THEIR-CONSENT',
          value: ({ theirConsent }) => (theirConsent ? 'given' : 'pending'),
        },
        { title: 'CHANGES', value: ({ changes }) => changes.map(lineOf).join('; ') },
      ],
      'no change waits for consent',
    ),
  )
}

async function decide(
  cli: Cli,
  about: DryRun & { readonly name: string; readonly id: string; readonly what: 'approve' | 'drop' },
): Promise<void> {
  const { name, id, what, dryRun } = about
  const target = await relationshipPath(cli, name)
  const ifMatch = dryRun === true ? undefined : await cli.etag(target)
  const answer = await cli.post<ProposedView>(
    `${target}/proposals/${encodeURIComponent(id)}/${what}`,
    undefined,
    { ifMatch, query: { dryRun } },
  )
  printProposed(cli, answer, doneWith(answer, about))
}

function doneWith(
  { isApplied }: ProposedView,
  { what, dryRun }: DryRun & { readonly what: 'approve' | 'drop' },
): string {
  const is = dryRun === true ? 'would be' : 'is'
  if (what === 'drop') return `${is} dropped`
  return isApplied ? `${is} in force` : `${is} approved by us; the peer has not consented yet`
}

function printProposed(cli: Cli, answer: ProposedView, what: string): void {
  if (cli.output !== 'table') {
    cli.print(answer)
    return
  }
  cli.say(`the change ${what}:`)
  cli.printTable(
    table(answer.proposal.changes, [
      { title: 'WHAT', value: ({ trustDomain, what: kind }) => `${trustDomain} ${kind}` },
      { title: 'IN-FORCE', value: ({ before }) => before ?? '-' },
      { title: 'PROPOSED', value: ({ after }) => after ?? '-' },
    ]),
  )
  cli.printText(formatNext(answer.next))
}

function lineOf({ trustDomain, what, after }: ProposalView['changes'][number]): string {
  return `${trustDomain} ${what}${after === null ? '' : ` to ${after}`}`
}
