import { type Command, InvalidArgumentError } from 'commander'
import { type RuleOutcomeView, type RuleView } from '../../policy/api.ts'
import { type Cli } from '../cli.ts'
import { path } from '../client.ts'
import { usageFailure } from '../failure.ts'
import { formatNext, table } from '../output.ts'
import { registerRuleConvert } from './rule-convert.ts'
import { registerRuleLint } from './rule-lint.ts'
import { collect, readServiceName } from './service.ts'

interface RuleOptions {
  readonly to?: readonly string[]
  readonly from?: readonly string[]
  readonly callers: readonly string[]
  readonly deny?: boolean
  readonly priority?: number
  readonly expires?: string
  readonly note?: string
  readonly dryRun?: boolean
}

/** `rule`: what a mesh shows to whom, and what it takes from whom. */
export function registerRule(program: Command, cli: Cli): void {
  const rule = program.command('rule').description('who may see and call which services')
  withRuleOptions(rule.command('export'))
    .description('allow (or deny) peers, or this mesh itself, to see and call services of ours')
    .requiredOption(
      '--to <peer>',
      'a relationship, all (every relationship) or self (this mesh); repeatable',
      collect,
    )
    .action((service: string, options: RuleOptions) =>
      addRule(cli, service, { direction: 'export', peers: options.to ?? [], options }),
    )
  withRuleOptions(rule.command('import'))
    .description("allow (or deny) this mesh to see and call peers' services")
    .requiredOption('--from <peer>', 'a relationship or all; repeatable', collect)
    .action((service: string, options: RuleOptions) =>
      addRule(cli, service, { direction: 'import', peers: options.from ?? [], options }),
    )
  registerRuleConvert(rule, cli)
  registerRuleLint(rule, cli)
  rule
    .command('list')
    .description('list rules')
    .option('--direction <direction>', 'only export or import')
    .action(({ direction }: { direction?: string }) => listRules(cli, direction))
  rule
    .command('show')
    .description('show a rule')
    .argument('<id>', 'the id that `rule list` shows')
    .action(async (id: string) => cli.print(await cli.get<RuleView>(await targetOf(cli, id))))
  rule
    .command('delete')
    .description('delete a rule')
    .argument('<id>', 'the id that `rule list` shows')
    .option('--dry-run', 'show the effect and change nothing')
    .action(async (id: string, { dryRun }: { dryRun?: boolean }) => {
      cli.print(await cli.delete<RuleView>(await targetOf(cli, id), { query: { dryRun } }))
    })
}

function withRuleOptions(command: Command): Command {
  return command
    .argument('<service>', "namespace/name; '*' whole or last in each part")
    .option(
      '--callers <pattern>',
      'only these callers: a SPIFFE path (/ns/web/*) or a namespace (web); repeatable',
      collect,
      [],
    )
    .option('--deny', 'deny instead of allow; one deny outweighs every allow')
    .option(
      '--priority <number>',
      'orders the attributes of allowed services, never decisions',
      readPriority,
    )
    .option('--expires <moment>', 'when the rule ends, as 2027-01-31T00:00:00Z')
    .option('--note <text>', 'why it is there')
    .option('--dry-run', 'show the effect and change nothing')
}

interface NewRule {
  readonly direction: 'export' | 'import'
  readonly peers: readonly string[]
  readonly options: RuleOptions
}

async function addRule(
  cli: Cli,
  service: string,
  { direction, peers, options }: NewRule,
): Promise<void> {
  const { callers, deny, priority, expires, note, dryRun } = options
  const body = {
    direction,
    effect: deny === true ? 'deny' : 'allow',
    subject: readServiceName(service),
    audience: { ...audienceOf(peers), ...(callers.length > 0 && { callers: callersOf(callers) }) },
    ...(priority !== undefined && { priority }),
    ...(expires !== undefined && { expiresAt: expires }),
    ...(note !== undefined && { note }),
  }
  const target = path`/meshes/${await cli.meshId()}/rules`
  const outcome = await cli.post<RuleOutcomeView>(target, body, { query: { dryRun } })
  if (cli.output === 'table') cli.say(sayOutcome(outcome, dryRun === true))
  else cli.print(outcome)
}

/** What a rule comes to, in sentences. */
function sayOutcome(outcome: RuleOutcomeView, dryRun: boolean): string {
  const { effectNow, line, id, direction } = outcome
  const verb = direction === 'export' ? 'visible to' : 'visible to us from'
  const head = dryRun ? `would add: ${line}` : `rule ${id}: ${line}`
  const lines = [
    head,
    ...effectNow.reaches.map(({ peer, count, services }) => {
      const more = count > services.length ? ` and ${count - services.length} more` : ''
      return count === 0
        ? `nothing of it is ${verb} ${peer} now`
        : `${verb} ${peer} now: ${services.join(', ')}${more}`
    }),
    ...effectNow.notActive.map(({ peer, reason }) => `not active: ${peer} is ${reason}`),
    ...effectNow.withheld.map(
      ({ peer, service, reason }) => `hidden from ${peer}: ${service}, since ${reason}`,
    ),
    ...(effectNow.complete ? [] : ['the rule reaches so far that only a part was looked at']),
  ]
  return `${lines.join('\n')}\n${formatNext(outcome.next)}`.trimEnd()
}

async function listRules(cli: Cli, direction: string | undefined): Promise<void> {
  const rules = await cli.list<RuleView>(path`/meshes/${await cli.meshId()}/rules`, { direction })
  const sorted = rules.toSorted((a, b) => (a.line < b.line ? -1 : 1))
  cli.printTable(
    table(
      sorted,
      [
        { title: 'ID', value: ({ id }) => id },
        { title: 'RULE', value: ({ line }) => line },
        { title: 'ENDS', value: ({ expiresAt }) => expiresAt },
        { title: 'NOTE', value: ({ note }) => note },
      ],
      'no rules, so nothing is visible to anybody',
    ),
  )
}

async function targetOf(cli: Cli, id: string): Promise<string> {
  return path`/meshes/${await cli.meshId()}/rules/${id}`
}

/** `all` and `self` stand alone; `peer:all` is a relationship of that name. */
function audienceOf(peers: readonly string[]): { kind: string; relationships?: string[] } {
  const [only, another] = peers
  if (only === undefined)
    throw usageFailure('the rule needs somebody it is for', 'name a relationship, all or self')
  if (another === undefined && (only === 'all' || only === 'self')) return { kind: only }
  if (peers.includes('all') || peers.includes('self')) {
    throw usageFailure('all and self stand alone', 'write one rule for each; they add up')
  }
  return { kind: 'peers', relationships: peers.map((name) => name.replace(/^peer:/, '')) }
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
