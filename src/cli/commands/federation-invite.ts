import { type Command, InvalidArgumentError } from 'commander'
import {
  type AcceptedInviteView,
  type CreatedInviteView,
  type InviteView,
} from '../../federation/invite/invite-api.ts'
import { type Cli } from '../cli.ts'
import { path } from '../client.ts'
import { CliFailure } from '../failure.ts'
import { formatNext, table } from '../output.ts'
import { intoSecretFile } from '../secret-file.ts'
import { DRY_RUN, type DryRun } from './federation-target.ts'

interface InviteOptions extends DryRun {
  readonly for?: string
  readonly as?: string
  readonly autoApprove?: boolean
  readonly fingerprint?: string
  readonly expires?: number
  readonly out?: string
}

/** `federation invite`, with `list` and `cancel`, and `federation accept`. */
export function registerInvites(federation: Command, cli: Cli): void {
  const invite = federation
    .command('invite')
    .description('make an invite for a peer: one string, a secret, good once; printed on stdout')
    .option('--for <td>', "the peer's trust domain: our consent beforehand, others are refused")
    .option('--as <name>', 'our name for the peer; default what it calls itself')
    .option('--auto-approve', 'says in scripts that --for is our consent; refused without --for')
    .option('--fingerprint <digits>', "what the fingerprint of the peer's bundle must be")
    .option('--expires <time>', 'how long it can be used: 90m, 24h, 7d at most', readTime)
    .option('--out <file>', 'write the invite into a new file (0600) and do not print it')
    .option(...DRY_RUN)
    .action((options: InviteOptions) => createInvite(cli, options))
  invite
    .command('list')
    .description('list invites with what became of them; why a handshake failed, and what helps')
    .action(() => listInvites(cli))
  invite
    .command('cancel')
    .description('cancel an open invite; whoever holds it can use it no more')
    .argument('<id>', 'as in the list')
    .option(...DRY_RUN)
    .action((id: string, options: DryRun) => cancelInvite(cli, id, options))
  federation
    .command('accept')
    .description('accept an invite: federates with the inviter, ends with four ticks')
    .argument('<file>', 'with the invite; - for stdin')
    .option('--as <name>', 'our name for the inviter; default what it calls itself')
    .option('--dry-run', 'check the invite and reach the inviter; change nothing, send nothing')
    .action((file: string, options: DryRun & { readonly as?: string }) =>
      acceptInvite(cli, file, options),
    )
}

async function createInvite(cli: Cli, options: InviteOptions): Promise<void> {
  const { out, dryRun } = options
  const target = path`/meshes/${await cli.meshId()}/invites`
  const body = {
    for: options.for,
    as: options.as,
    autoApprove: options.autoApprove,
    fingerprint: options.fingerprint,
    expiresSeconds: options.expires,
  }
  const make = () => cli.post<CreatedInviteView>(target, body, { query: { dryRun } })
  if (out !== undefined && dryRun !== true) {
    const { invite: _, ...made } = await intoSecretFile(out, make, ({ invite }) => invite)
    cli.print(cli.output === 'table' ? { ...summaryOf(made), file: out, next: made.next } : made)
    return
  }
  const made = await make()
  if (cli.output !== 'table') {
    cli.print(made)
    return
  }
  cli.printText(made.invite)
  cli.note(
    made.isApproved
      ? `for ${made.expectedTrustDomain} until ${made.expiresAt}: our consent is given, no approval follows`
      : `for whoever holds it until ${made.expiresAt}: nothing is trusted before federation approve`,
  )
  cli.note('send it in a way that nobody else can read; our fingerprints, to be compared aloud:')
  for (const line of fingerprintLines(made.fingerprints)) cli.note(line)
  for (const id of made.cancelled) cli.note(`invite ${id} for the same peer is cancelled`)
}

function summaryOf(made: Omit<CreatedInviteView, 'invite'>) {
  const { id, expectedTrustDomain, isApproved, expiresAt, fingerprints, cancelled } = made
  const shown = fingerprints.map(({ trustDomain, fingerprint }) => `${trustDomain} ${fingerprint}`)
  return {
    id,
    for: expectedTrustDomain ?? 'whoever holds it',
    approved: isApproved,
    expiresAt,
    fingerprint: shown.join('; '),
    ...(cancelled.length === 0 ? {} : { cancelled: cancelled.join(', ') }),
  }
}

async function listInvites(cli: Cli): Promise<void> {
  const invites = await cli.list<InviteView>(path`/meshes/${await cli.meshId()}/invites`)
  cli.printTable(
    table(
      invites,
      [
        { title: 'ID', value: ({ id }) => id },
        { title: 'FOR', value: ({ expectedTrustDomain }) => expectedTrustDomain ?? 'anybody' },
        { title: 'STATE', value: ({ state }) => state },
        { title: 'EXPIRES', value: ({ expiresAt }) => expiresAt },
        { title: 'USED-BY', value: ({ usedBy }) => usedBy ?? '-' },
        { title: 'RELATIONSHIP', value: ({ relationship }) => relationship ?? '-' },
      ],
      ['no invites', 'entente federation invite --for TRUST-DOMAIN'],
    ),
  )
  for (const { id, approvalReason } of invites) {
    if (approvalReason !== null) cli.say(`${id}: ${approvalReason}`)
  }
  for (const { id, lastRefusal } of invites) {
    if (lastRefusal === null) continue
    cli.say(`${id} was tried at ${lastRefusal.at}: ${lastRefusal.reason}`)
    if (lastRefusal.next !== null) cli.printText(formatNext([lastRefusal.next]))
  }
}

async function cancelInvite(cli: Cli, id: string, { dryRun }: DryRun): Promise<void> {
  const target = path`/meshes/${await cli.meshId()}/invites/${id}`
  const view = await cli.delete<InviteView>(target, { query: { dryRun } })
  if (cli.output !== 'table') cli.print(view)
  cli.say(`invite ${id} ${dryRun === true ? 'would be' : 'is'} cancelled`)
}

/** Both services look at each other on the way, each for ten seconds at most. */
const ACCEPT_TIMEOUT_SECONDS = 45

/** As the service names them, in their order. */
const STEPS = ['invite valid', 'we reached them', 'they reached us', 'both bundles verified']

async function acceptInvite(
  cli: Cli,
  file: string,
  { as, dryRun }: DryRun & { readonly as?: string },
): Promise<void> {
  const invite = new TextDecoder().decode(await cli.readInput(file))
  const target = path`/meshes/${await cli.meshId()}/invites/accept`
  try {
    const accepted = await cli.post<AcceptedInviteView>(
      target,
      { invite, as },
      { query: { dryRun }, timeoutSeconds: ACCEPT_TIMEOUT_SECONDS },
    )
    printAccepted(cli, accepted)
  } catch (error) {
    if (error instanceof CliFailure) printFailedStep(cli, error)
    throw error
  }
}

function printFailedStep(cli: Cli, { failedStep }: CliFailure): void {
  const failed = STEPS.indexOf(failedStep ?? '')
  for (const [index, step] of STEPS.entries()) {
    if (index <= failed) cli.say(`${index < failed ? '✓' : '✗'} ${step}`)
  }
}

function printAccepted(cli: Cli, accepted: AcceptedInviteView): void {
  if (cli.output !== 'table') {
    cli.print(accepted)
    return
  }
  const { relationship, consent } = accepted
  for (const { step, done } of accepted.steps) cli.say(`${done ? '✓' : '·'} ${step}`)
  if (consent === null) cli.say(`relationship ${relationship.name} would be made`)
  else cli.say(`relationship ${relationship.name} is ${relationship.state}`)
  for (const cause of relationship.waitingFor) cli.say(`waits for ${cause}`)
  cli.say('compare aloud, the same digits must stand on the other side:')
  for (const line of fingerprintLines([...accepted.theirs, ...accepted.ours])) cli.say(line)
  cli.say('the fingerprints do not cover these; they must be those of the other side too:')
  for (const line of invitedLines(accepted.invited)) cli.say(line)
  cli.printText(formatNext(accepted.next))
}

function invitedLines({ domains, exchange }: AcceptedInviteView['invited']): string[] {
  const lines = domains.flatMap(({ trustDomain, profile, endpointUrl, recovery }) => [
    `  ${trustDomain}  ${profile}  ${endpointUrl}`,
    ...recovery.map((line) => `  ${trustDomain}  recovery  ${line}`),
  ])
  return [...lines, `  exchange  ${exchange.url}`]
}

function fingerprintLines(
  fingerprints: readonly { readonly trustDomain: string; readonly fingerprint: string }[],
): string[] {
  const width = Math.max(0, ...fingerprints.map(({ trustDomain }) => trustDomain.length))
  return fingerprints.map(
    ({ trustDomain, fingerprint }) => `  ${trustDomain.padEnd(width)}  ${fingerprint}`,
  )
}

const SECONDS = { s: 1, m: 60, h: 3600, d: 86_400 } as const

function readTime(text: string): number {
  const [, count, unit] = /^([1-9]\d{0,5})([smhd])$/.exec(text) ?? []
  const seconds = unit === undefined ? 0 : Number(count) * SECONDS[unit as keyof typeof SECONDS]
  if (seconds >= 60 && seconds <= 7 * SECONDS.d) return seconds
  throw new InvalidArgumentError('wanted a time from 60s to 7d, such as 90m, 24h or 7d')
}
