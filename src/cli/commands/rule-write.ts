import { type Command, InvalidArgumentError } from 'commander'
import { type RuleOutcomeView } from '../../policy/change/rule-effect-api.ts'
import { type Cli } from '../cli.ts'
import { path } from '../client.ts'
import { usageFailure } from '../failure.ts'
import { readSelector } from '../label-selector.ts'
import { sayOutcome } from './rule-text.ts'
import { readMoment } from './spans.ts'
import { collect, readServiceName } from './service-words.ts'

interface RuleOptions {
  readonly to?: readonly string[]
  readonly from?: readonly string[]
  readonly identity?: string
  readonly selector?: string
  readonly port: readonly string[]
  readonly callers: readonly string[]
  readonly cluster: readonly string[]
  readonly as?: string
  readonly visibleTo?: readonly string[]
  readonly owner: readonly string[]
  readonly deny?: boolean
  readonly name?: string
  readonly priority?: number
  readonly expires?: string
  readonly note?: string
  readonly dryRun?: boolean
}

const PEER_HELP = 'a relationship, group:NAME'

/** `rule export` and `rule import`. */
export function registerRuleWrite(rule: Command, cli: Cli): void {
  withRuleOptions(rule.command('export'))
    .description(
      'allow (or deny) peers, or this mesh itself, to see and call services of ours; or to meet our identities',
    )
    .requiredOption(
      '--to <peer>',
      `${PEER_HELP}, all (every relationship) or self (this mesh); repeatable`,
      collect,
    )
    .action((service: string | undefined, options: RuleOptions) =>
      addRule(cli, service, { direction: 'export', peers: options.to ?? [], options }),
    )
  withRuleOptions(rule.command('import'))
    .description("allow (or deny) this mesh to see and call peers' services")
    .requiredOption('--from <peer>', `${PEER_HELP} or all; repeatable`, collect)
    .option('--visible-to <namespace>', 'only these namespaces of ours see it; repeatable', collect)
    .action((service: string | undefined, options: RuleOptions) =>
      addRule(cli, service, { direction: 'import', peers: options.from ?? [], options }),
    )
}

function withRuleOptions(command: Command): Command {
  return withAttributes(
    command
      .argument('[service]', "namespace/name; '*' whole or last in each part")
      .option(
        '--identity <pattern>',
        "instead of a service: identities by path, as /web or '/ns/web/*'",
      )
      .option(
        '--selector <labels>',
        "only services with these labels: 'app=web,tier in (a,b),!old'",
      )
      .option('--port <name>', 'only this port; repeatable', collect, [])
      .option(
        '--callers <pattern>',
        'only these callers: a SPIFFE path (/ns/web/*) or a namespace (web); repeatable',
        collect,
        [],
      )
      .option('--cluster <name>', 'only in this cluster of ours; repeatable', collect, [])
      .option('--as <name>', "the name it gets: namespace/name, '*' keeps a part"),
  )
}

function withAttributes(command: Command): Command {
  return command
    .option('--deny', 'deny instead of allow; one deny outweighs every allow')
    .option('--name <name>', 'a name for the rule itself')
    .option(
      '--priority <number>',
      'orders the names of allowed services, never decisions',
      readPriority,
    )
    .option(
      '--owner <namespace>',
      'namespaces whose developers may change it; repeatable',
      collect,
      [],
    )
    .option('--expires <moment>', 'when the rule ends: a date or an RFC 3339 time', readMoment)
    .option('--note <text>', 'why it is there')
    .option('--dry-run', 'show the effect and change nothing')
}

interface NewRule {
  readonly direction: 'export' | 'import'
  readonly peers: readonly string[]
  readonly options: RuleOptions
}

async function addRule(cli: Cli, service: string | undefined, rule: NewRule): Promise<void> {
  const { direction, peers, options } = rule
  const { callers, deny, dryRun } = options
  const body = {
    direction,
    effect: deny === true ? 'deny' : 'allow',
    subject: subjectOf(service, options),
    audience: { ...audienceOf(peers), ...(callers.length > 0 && { callers: callersOf(callers) }) },
    ...attributesOf(options),
  }
  const target = path`/meshes/${await cli.meshId()}/rules`
  const outcome = await cli.post<RuleOutcomeView>(target, body, { query: { dryRun } })
  if (cli.output === 'table') cli.say(sayOutcome(outcome, { dryRun }))
  else cli.print(outcome)
}

function subjectOf(
  service: string | undefined,
  { identity, selector, port }: RuleOptions,
): Record<string, unknown> {
  if (identity !== undefined) {
    if (service === undefined && selector === undefined && port.length === 0) return { identity }
    throw usageFailure(
      '--identity stands instead of a service',
      'write one rule for the service and one for the identities',
    )
  }
  if (service === undefined) {
    throw usageFailure(
      'the rule needs a service or --identity',
      'entente rule export shop/cart --to globex',
      "entente rule export --identity '/ns/web/*' --to globex",
    )
  }
  return {
    ...readServiceName(service),
    ...(selector !== undefined && { labels: readSelector(selector) }),
    ...(port.length > 0 && { ports: port }),
  }
}

function attributesOf(options: RuleOptions): Record<string, unknown> {
  const { name, cluster, as, visibleTo, owner, priority, expires, note } = options
  return {
    ...(name !== undefined && { name }),
    ...(cluster.length > 0 && { clusters: cluster }),
    ...(as !== undefined && { as: aliasOf(as) }),
    ...(visibleTo !== undefined && { visibleTo }),
    ...(owner.length > 0 && { ownerScope: owner }),
    ...(priority !== undefined && { priority }),
    ...(expires !== undefined && { expiresAt: expires }),
    ...(note !== undefined && { note }),
  }
}

function aliasOf(text: string): Record<string, string> {
  const { namespace, name } = readServiceName(text)
  return { ...(namespace !== '*' && { namespace }), ...(name !== '*' && { name }) }
}

interface AudienceBody {
  readonly kind: string
  readonly relationships?: readonly string[]
  readonly groups?: readonly string[]
}

/** `all` and `self` stand alone; `peer:all` is a relationship of that name, `group:x` a group. */
function audienceOf(peers: readonly string[]): AudienceBody {
  const [only, another] = peers
  if (only === undefined)
    throw usageFailure('the rule needs somebody it is for', 'name a relationship, all or self')
  if (another === undefined && (only === 'all' || only === 'self')) return { kind: only }
  if (peers.includes('all') || peers.includes('self')) {
    throw usageFailure('all and self stand alone', 'write one rule for each; they add up')
  }
  const groups = peers.filter((peer) => peer.startsWith('group:'))
  const relationships = peers.filter((peer) => !groups.includes(peer))
  return {
    kind: 'peers',
    ...(relationships.length > 0 && {
      relationships: relationships.map((name) => name.replace(/^peer:/, '')),
    }),
    ...(groups.length > 0 && { groups: groups.map((name) => name.slice('group:'.length)) }),
  }
}

function callersOf(patterns: readonly string[]): { namespaces: string[]; paths: string[] } {
  return {
    namespaces: patterns.filter((pattern) => !isPath(pattern)),
    paths: patterns.filter(isPath),
  }
}

function isPath(pattern: string): boolean {
  return pattern.startsWith('/') || pattern === '*'
}

function readPriority(value: string): number {
  if (/^-?\d{1,6}$/.test(value)) return Number(value)
  throw new InvalidArgumentError('it must be a whole number')
}
