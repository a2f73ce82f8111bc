import { type Command } from 'commander'
import { type DeletedRuleView } from '../../policy/change/rule-effect-api.ts'
import { type RuleView } from '../../policy/rule/rule-api.ts'
import { type Cli } from '../cli.ts'
import { path } from '../client.ts'
import { printDocuments } from '../declarative/print.ts'
import { table } from '../output.ts'
import { registerRuleConvert } from './rule-convert.ts'
import { registerRuleLint } from './rule-lint.ts'
import { type EffectiveOptions, listEffective } from './rule-effective.ts'
import { sayDeleted } from './rule-text.ts'
import { registerRuleWrite } from './rule-write.ts'

interface ListOptions extends EffectiveOptions {
  readonly direction?: string
  readonly effective?: boolean
}

/** `rule`: what a mesh shows to whom, and what it takes from whom. */
export function registerRule(program: Command, cli: Cli): void {
  const rule = program.command('rule').description('who may see and call which services')
  registerRuleWrite(rule, cli)
  registerRuleConvert(rule, cli)
  registerRuleLint(rule, cli)
  rule
    .command('list')
    .description('list rules')
    .option('--direction <direction>', 'only export or import')
    .option('--effective', 'what all rules together come to, with --to or --from')
    .option('--to <relationship>', 'with --effective: what is shown to this peer')
    .option('--from <relationship>', 'with --effective: what is made of its offers')
    .action((options: ListOptions) =>
      options.effective === true ? listEffective(cli, options) : listRules(cli, options.direction),
    )
  rule
    .command('show')
    .description('show a rule')
    .argument('<rule>', 'its name, or the id that `rule list` shows')
    .action((id: string) => showRule(cli, id))
  rule
    .command('delete')
    .description('delete a rule')
    .argument('<rule>', 'its name, or the id that `rule list` shows')
    .option('--dry-run', 'show the effect and change nothing')
    .action((id: string, { dryRun }: { dryRun?: boolean }) => endRule(cli, id, dryRun))
}

async function showRule(cli: Cli, id: string): Promise<void> {
  const rule = await cli.get<RuleView>(await targetOf(cli, id))
  if (cli.output === 'yaml' && rule.name !== null) {
    return printDocuments(cli, { kind: 'Rule', views: [rule] })
  }
  cli.print(cli.output === 'table' ? shownRule(rule) : rule)
}

/** On a terminal the line of a rule stands for what it is about and for whom. */
function shownRule({ line, name, id, ...rule }: RuleView): Record<string, unknown> {
  const { clusters, visibleTo, priority, expiresAt, ownerScope, note, createdAt } = rule
  const more = { clusters, visibleTo, priority, ownerScope, expiresAt, note, createdAt }
  return { name, id, rule: line, ...more }
}

async function endRule(cli: Cli, id: string, dryRun: boolean | undefined): Promise<void> {
  const options = { query: { dryRun } }
  const ended = await cli.delete<DeletedRuleView>(await targetOf(cli, id), options)
  if (cli.output === 'table') cli.say(sayDeleted(ended, { dryRun }))
  else cli.print(ended)
}

async function listRules(cli: Cli, direction: string | undefined): Promise<void> {
  const rules = await cli.list<RuleView>(path`/meshes/${await cli.meshId()}/rules`, { direction })
  if (cli.output === 'yaml') {
    const named = rules.filter(({ name }) => name !== null)
    const unnamed = rules.filter(({ name }) => name === null).map(({ id }) => id)
    if (unnamed.length > 0)
      cli.warn(`in no document, since they have no name: ${unnamed.join(', ')}`)
    return printDocuments(cli, { kind: 'Rule', views: named })
  }
  const sorted = rules.toSorted((a, b) => (a.line < b.line ? -1 : 1))
  cli.printTable(
    table(
      sorted,
      [
        { title: 'ID', value: ({ id }) => id },
        { title: 'NAME', value: ({ name }) => name },
        { title: 'RULE', value: ({ line }) => line },
        { title: 'ENDS', value: ({ expiresAt }) => expiresAt },
        { title: 'NOTE', value: ({ note }) => note },
      ],
      'no rules that this token may see; where there are none at all, nothing is visible to anybody',
    ),
  )
}

async function targetOf(cli: Cli, id: string): Promise<string> {
  return path`/meshes/${await cli.meshId()}/rules/${id}`
}
