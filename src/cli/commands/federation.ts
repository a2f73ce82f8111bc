import { type Command, InvalidArgumentError, Option } from 'commander'
import {
  type CreatedRelationshipView,
  type EndedRelationshipView,
  type RelationshipView,
} from '../../federation/api.ts'
import { type Cli } from '../cli.ts'
import { path } from '../client.ts'
import { printDocuments } from '../declarative/print.ts'
import { usageFailure } from '../failure.ts'
import { formatNext, table } from '../output.ts'
import { givenBundle } from './bundle-text.ts'
import { registerFederationHelp } from './federation-help.ts'
import { registerFederationBundle } from './federation-bundle.ts'
import { registerInvites } from './federation-invite.ts'
import { registerMove } from './federation-move.ts'
import {
  changedOwnerBody,
  newOwnerBody,
  type OwnerOptions,
  withOwnerOptions,
} from './federation-owner.ts'
import { registerProposals } from './federation-proposal.ts'
import { registerStanding } from './federation-standing.ts'
import { registerRefresh } from './federation-refresh.ts'
import { DRY_RUN, type DryRun, effectColumns, relationshipPath } from './federation-target.ts'
import { registerDistrust } from './distrust.ts'
import { recoveryOf, type RecoveryOptions, withRecoveryOptions } from './federation-recovery.ts'
import { shownOffers } from './federation-offers.ts'
import { listedRelationship, shownRelationship } from './federation-view.ts'

interface AddOptions extends OwnerOptions, RecoveryOptions {
  readonly trustDomain: string
  readonly profile: 'https_web' | 'https_spiffe' | 'static' | 'local'
  readonly url?: string
  readonly endpointId?: string
  readonly bundleFile?: string
  readonly bundle?: string
  readonly hintMin?: number
  readonly hintMax?: number
  readonly policy?: RelationshipView['changePolicy']
  readonly dryRun?: boolean
}

interface SetOptions extends OwnerOptions {
  readonly name?: string
  readonly hintMin?: number | 'none'
  readonly hintMax?: number | 'none'
  readonly policy?: RelationshipView['changePolicy']
  readonly dryRun?: boolean
}

/** `federation`: relationships with peer meshes. */
export function registerFederation(program: Command, cli: Cli): void {
  const federation = program
    .command('federation')
    .description('relationships with peer meshes: whose SVIDs this mesh accepts')
  registerAdd(federation, cli)
  registerInvites(federation, cli)
  registerLooks(federation, cli)
  registerChanges(federation, cli)
  registerStanding(federation, cli)
  registerProposals(federation, cli)
  registerEnds(federation, cli)
  registerMove(federation, cli)
  registerFederationBundle(federation, cli)
  registerDistrust(federation, cli)
  registerFederationHelp(federation, cli)
}

function registerAdd(federation: Command, cli: Cli): void {
  const command = federation
    .command('add')
    .description('federate with a peer, one-way; the peer makes its own relationship with us')
    .argument('<name>', 'our name for the peer; used in commands, rules and host names')
    .requiredOption('--trust-domain <td>', "the peer's trust domain")
    .addOption(
      new Option(
        '--profile <profile>',
        'how its bundle endpoint proves itself; static: no endpoint; local: a mesh of this service',
      )
        .choices(['https_web', 'https_spiffe', 'static', 'local'])
        .makeOptionMandatory(),
    )
    .option('--url <url>', 'its bundle endpoint')
    .option('--endpoint-id <id>', 'SPIFFE ID of that endpoint, with https_spiffe')
    .option(
      '--bundle-file <file>',
      'its bundle, JSON or PEM, brought another way (- for stdin), with https_spiffe and static',
    )
    .addOption(new Option('--bundle <file>', 'the same as --bundle-file').hideHelp())
    .option('--hint-min <seconds>', 'poll at most this often, whatever the peer hints', readSeconds)
    .option('--hint-max <seconds>', 'poll at least this often', readSeconds)
    .addOption(policyOption())
    .option(...DRY_RUN)
  withRecoveryOptions(withOwnerOptions(command)).action((name: string, options: AddOptions) =>
    add(cli, name, options),
  )
}

function policyOption(): Option {
  return new Option(
    '--policy <policy>',
    'which new keys of the peer count by themselves: auto all, overlap those beside a known one, approve none; dropped keys leave at once under each',
  ).choices(['auto', 'overlap', 'approve'])
}

function registerLooks(federation: Command, cli: Cli): void {
  federation
    .command('list')
    .description('list relationships with state and health')
    .action(() => list(cli))
  federation
    .command('show')
    .description('show a relationship: health with its way out, polls, and the URL for the peer')
    .argument('<name>')
    .action((name: string) => show(cli, name))
}

function registerChanges(federation: Command, cli: Cli): void {
  const set = federation
    .command('set')
    .description('change name, owner data, policy or hint limits; the rest by federation change')
    .argument('<name>')
    .option('--name <name>', 'another name of ours for the peer')
    .option('--hint-min <seconds>', 'poll at most this often; none takes it away', readLimit)
    .option('--hint-max <seconds>', 'poll at least this often; none takes it away', readLimit)
    .addOption(policyOption())
    .option(...DRY_RUN)
  withOwnerOptions(set).action((name: string, options: SetOptions) => change(cli, name, options))
  registerRefresh(federation, cli)
}

function registerEnds(federation: Command, cli: Cli): void {
  federation
    .command('terminate')
    .description('end a relationship: its bundles are removed at once')
    .argument('<name>')
    .option(
      '--reason <text>',
      'for people; shown with the relationship, and told to a peer with Entente',
    )
    .option('--dry-run', 'list what would break and change nothing')
    .action((name: string, options: DryRun & { readonly reason?: string }) =>
      terminate(cli, name, options),
    )
  federation
    .command('delete')
    .description('delete a terminated relationship with its history')
    .argument('<name>')
    .option(...DRY_RUN)
    .action(async (name: string, { dryRun }: DryRun) => {
      await cli.delete<RelationshipView>(await relationshipPath(cli, name), { query: { dryRun } })
      cli.say(`relationship ${name} ${dryRun === true ? 'would be' : 'is'} deleted`)
    })
}

async function add(cli: Cli, name: string, options: AddOptions): Promise<void> {
  const mesh = await cli.meshId()
  const file = options.bundleFile ?? options.bundle
  const given = file === undefined ? {} : givenBundle(textOf(await cli.readInput(file)))
  const body = {
    name,
    ...newOwnerBody(options),
    hintMinSeconds: options.hintMin,
    hintMaxSeconds: options.hintMax,
    changePolicy: options.policy,
    domains: [
      {
        trustDomain: options.trustDomain,
        source: options.profile,
        endpointUrl: options.url,
        endpointSpiffeId: options.endpointId,
        ...given,
        recovery: await recoveryOf(cli, options),
      },
    ],
  }
  const { dryRun } = options
  const made = await cli.post<CreatedRelationshipView>(path`/meshes/${mesh}/relationships`, body, {
    query: { dryRun },
  })
  cli.print(cli.output === 'table' ? { ...shownRelationship(made), next: made.next } : made)
}

async function list(cli: Cli): Promise<void> {
  const mesh = await cli.meshId()
  const found = await cli.list<RelationshipView>(path`/meshes/${mesh}/relationships`)
  // What an adopted mesh is read by is made by adopting, never applied from a file.
  const peers = found.filter(({ purpose }) => purpose === 'peer')
  if (cli.output === 'yaml') {
    const ended = peers.filter(({ state }) => state === 'terminated').map((one) => one.name)
    if (ended.length > 0) cli.warn(`in no document, since they are terminated: ${ended.join(', ')}`)
    const views = peers.filter(({ state }) => state !== 'terminated')
    return printDocuments(cli, { kind: 'Relationship', views })
  }
  cli.printTable(
    table(found, listedRelationship, [
      'no relationships',
      'entente federation add NAME --trust-domain TD --profile P --url URL',
    ]),
  )
}

async function show(cli: Cli, name: string): Promise<void> {
  const view = await cli.get<RelationshipView>(await relationshipPath(cli, name))
  if (cli.output === 'yaml') return printDocuments(cli, { kind: 'Relationship', views: [view] })
  if (cli.output === 'json') return cli.print(view)
  const offers = view.purpose === 'peer' ? await shownOffers(cli, view.name) : undefined
  const shown = shownRelationship(view)
  cli.print(offers === undefined ? shown : { ...shown, offers: offers.line, next: offers.next })
}

async function change(cli: Cli, name: string, options: SetOptions): Promise<void> {
  const body = {
    name: options.name,
    ...changedOwnerBody(options),
    hintMinSeconds: limitOf(options.hintMin),
    hintMaxSeconds: limitOf(options.hintMax),
    changePolicy: options.policy,
  }
  if (Object.values(body).every((value) => value === undefined)) {
    throw usageFailure(
      'nothing to change',
      'give --name, --contact, --label, --expires-at or another option',
    )
  }
  const { dryRun } = options
  const view = await cli.patch<RelationshipView>(await relationshipPath(cli, name), body, {
    query: { dryRun },
  })
  cli.print(cli.output === 'table' ? shownRelationship(view) : view)
}

async function terminate(
  cli: Cli,
  name: string,
  { dryRun, reason }: DryRun & { readonly reason?: string },
): Promise<void> {
  const target = await relationshipPath(cli, name)
  const ifMatch = dryRun === true ? undefined : await cli.etag(target)
  const answer = await cli.post<EndedRelationshipView>(
    `${target}/terminate`,
    { reason },
    { ifMatch, query: { dryRun } },
  )
  if (cli.output !== 'table') {
    cli.print(answer)
    return
  }
  cli.say(`relationship ${name} ${dryRun === true ? 'would end' : 'is terminated'}; with it:`)
  cli.printTable(table(answer.ended, effectColumns, 'nothing else'))
  cli.printText(formatNext(answer.next))
}

function textOf(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes)
}

function readSeconds(text: string): number {
  if (/^[1-9]\d{0,4}$/.test(text)) return Number(text)
  throw new InvalidArgumentError('wanted whole seconds from 1 to 86400')
}

// Not null at once: commander takes a parsed null for a missing value.
function readLimit(text: string): number | 'none' {
  return text === 'none' ? 'none' : readSeconds(text)
}

function limitOf(limit: number | 'none' | undefined): number | null | undefined {
  return limit === 'none' ? null : limit
}
