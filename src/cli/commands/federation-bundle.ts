import { type Command } from 'commander'
import { type PeerRevisionView } from '../../federation/peer-bundle/peer-bundle-api.ts'
import {
  type AuthorityView,
  type ChangedAuthorityView,
  type DecidedView,
  type DiffSideView,
  type RevisionDiffView,
} from '../../federation/peer-bundle/revision-api.ts'
import { type Cli } from '../cli.ts'
import { path } from '../client.ts'
import { formatNext, table } from '../output.ts'
import { onlyDomain } from './bundle-set.ts'
import { DRY_RUN, type DryRun } from './federation-target.ts'

interface DomainOption {
  readonly trustDomain?: string
}

interface DiffOptions extends DomainOption {
  readonly from?: string
  readonly to?: string
}

interface DecisionOptions extends DomainOption, DryRun {
  readonly digest: string
}

const TRUST_DOMAIN = ['--trust-domain <td>', 'where the relationship has several'] as const

/** `federation bundle`: the revisions of a peer's bundle, and what waits for a decision. */
export function registerFederationBundle(federation: Command, cli: Cli): void {
  const bundle = federation
    .command('bundle')
    .description("revisions of a peer's bundle, and decisions on what a policy held back")
  bundle
    .command('revisions')
    .description('list the revisions of a bundle, the newest first')
    .argument('<relationship>')
    .option(...TRUST_DOMAIN)
    .action((name: string, options: DomainOption) => list(cli, name, options))
  bundle
    .command('diff')
    .description('compare two revisions by authority; by default what waits with what is in use')
    .argument('<relationship>')
    .option('--from <revision>', 'a number, current or quarantined; default current')
    .option('--to <revision>', 'a number, current or quarantined; default quarantined')
    .option(...TRUST_DOMAIN)
    .action((name: string, options: DiffOptions) => diff(cli, name, options))
  registerDecision(bundle, cli, {
    to: 'approve',
    description: 'take exactly the quarantined document of this digest into use',
  })
  registerDecision(bundle, cli, {
    to: 'reject',
    description: 'refuse the quarantined document of this digest; what is in use stays',
  })
}

interface DecisionCommand {
  readonly to: DecidedView['decision']
  readonly description: string
}

function registerDecision(bundle: Command, cli: Cli, command: DecisionCommand): void {
  bundle
    .command(command.to)
    .description(command.description)
    .argument('<relationship>')
    .requiredOption('--digest <sha256>', 'of the document, as bundle diff shows it')
    .option(...TRUST_DOMAIN)
    .option(...DRY_RUN)
    .action((name: string, options: DecisionOptions) =>
      decide(cli, name, { ...options, to: command.to }),
    )
}

async function list(cli: Cli, name: string, options: DomainOption): Promise<void> {
  const found = await cli.list<PeerRevisionView>(await revisionsPath(cli, name, options))
  cli.printTable(
    table(
      found,
      [
        { title: 'REVISION', value: ({ n }) => n },
        { title: 'SEQ', value: ({ sequence }) => sequence ?? '-' },
        { title: 'STATE', value: ({ disposition }) => disposition },
        { title: 'ORIGIN', value: ({ origin }) => origin },
        { title: 'RECEIVED', value: ({ receivedAt }) => receivedAt },
        { title: 'AUTHENTICATED', value: authenticated },
        { title: 'DIGEST', value: ({ digest }) => digest },
      ],
      'no revisions yet',
    ),
  )
}

function authenticated({ verifiedBy }: PeerRevisionView): string {
  if (verifiedBy.how !== 'fetch') return `by ${verifiedBy.actor}`
  return [verifiedBy.address, ...verifiedBy.presentedIds].filter(Boolean).join(' ')
}

async function diff(cli: Cli, name: string, options: DiffOptions): Promise<void> {
  const { from, to } = options
  const target = `${await revisionsPath(cli, name, options)}/diff`
  const found = await cli.get<RevisionDiffView>(target, { query: { from, to } })
  if (cli.output !== 'table') {
    cli.print(found)
    return
  }
  cli.say(`from ${sideOf(found.from)}`)
  cli.say(`to   ${sideOf(found.to)}`)
  printComparison(cli, found)
  cli.printText(formatNext(found.next))
}

function sideOf(side: DiffSideView): string {
  if (side === null) return 'nothing: no bundle is in use'
  const sequence = side.sequence === null ? '' : `, sequence ${side.sequence}`
  return `revision ${side.n} (${side.disposition}${sequence}), digest ${side.digest}`
}

async function decide(
  cli: Cli,
  name: string,
  options: DecisionOptions & Pick<DecisionCommand, 'to'>,
): Promise<void> {
  const { to, dryRun } = options
  const target = `${await revisionsPath(cli, name, options)}/${to}`
  const digest = options.digest.toLowerCase()
  const decided = await cli.post<DecidedView>(target, { digest }, { query: { dryRun } })
  if (cli.output !== 'table') {
    cli.print(decided)
    return
  }
  const would = dryRun === true ? 'would be' : 'is'
  const done = to === 'approve' ? 'approved and in use' : 'rejected'
  cli.say(`revision ${decided.n} of ${decided.trustDomain} ${would} ${done}`)
  if (to === 'approve') printComparison(cli, decided)
  if (decided.activated) cli.say(`relationship ${name} ${would} active`)
  cli.printText(formatNext(decided.next))
}

/** The authorities of both sides: + new, - gone, = in both. */
function printComparison(
  cli: Cli,
  { added, removed, kept }: Pick<RevisionDiffView, 'added' | 'removed' | 'kept'>,
): void {
  const rows = [
    ...added.map((authority) => ({ sign: '+', authority, note: sameKey(authority) })),
    ...removed.map((authority) => ({ sign: '-', authority, note: sameKey(authority) })),
    ...kept.map((authority) => ({ sign: '=', authority, note: '' })),
  ]
  cli.printTable(
    table(
      rows,
      [
        { title: '', value: ({ sign }) => sign },
        { title: 'KIND', value: ({ authority }) => authority.kind },
        { title: 'PUBLIC-KEY-SHA256', value: ({ authority }) => authority.publicKeySha256 },
        { title: 'UNTIL', value: ({ authority }) => authority.notAfter ?? '-' },
        { title: 'NAME', value: ({ authority, note }) => `${nameOf(authority)}${note}` },
      ],
      'neither side has any authority',
    ),
  )
}

function nameOf({ kid, subject }: AuthorityView): string {
  return kid ?? subject ?? '-'
}

function sameKey({ isSameKey }: ChangedAuthorityView): string {
  return isSameKey ? ' (the other side has this key too)' : ''
}

async function revisionsPath(
  cli: Cli,
  name: string,
  { trustDomain }: DomainOption,
): Promise<string> {
  const mesh = await cli.meshId()
  const domain = trustDomain ?? (await onlyDomain(cli, mesh, name))
  return path`/meshes/${mesh}/relationships/${name}/bundles/${domain}/revisions`
}
