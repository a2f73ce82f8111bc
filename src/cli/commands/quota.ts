import { type Command } from 'commander'
import { type QuotaView, type UsageView } from '../../access/quota/quota-api.ts'
import { quoted } from '../../errors.ts'
import { type Cli } from '../cli.ts'
import { path } from '../client.ts'
import { printDocuments } from '../declarative/print.ts'
import { usageFailure } from '../failure.ts'
import { table } from '../output.ts'

/** `quota` and `usage`: how much meshes and namespaces may have, and have. */
export function registerQuota(program: Command, cli: Cli): void {
  const noun = program.command('quota').description('how much a mesh or a namespace may have')
  noun
    .command('set')
    .description('set some quotas and keep the others; KIND= takes one away')
    .argument('<limits...>', 'services=100 rules=50 relationships=10 entries=500 svidsPerDay=10000')
    .option('--namespace <name>', 'of this namespace, instead of the whole mesh')
    .option('--dry-run', 'show the effect and change nothing')
    .action((limits: string[], options: { namespace?: string; dryRun?: boolean }) =>
      setQuotas(cli, limits, options),
    )
  noun
    .command('list')
    .description('list the quotas of a mesh and of its namespaces')
    .action(() => listQuotas(cli))
  program
    .command('usage')
    .description('what a mesh or a namespace uses, beside its quotas')
    .option('--namespace <name>', 'of this namespace only')
    .action((options: { namespace?: string }) => showUsage(cli, options.namespace))
}

async function setQuotas(
  cli: Cli,
  texts: readonly string[],
  { namespace, dryRun }: { readonly namespace?: string; readonly dryRun?: boolean },
): Promise<void> {
  const target = path`/meshes/${await cli.meshId()}/quotas`
  const known = await cli.list<QuotaView>(target)
  const found = known.find((quota) => quota.namespace === (namespace ?? null))
  const before = found?.limits ?? {}
  const body = Object.fromEntries(
    Object.entries({ ...before, ...readLimits(texts) }).filter(([, max]) => max !== undefined),
  )
  const place = namespace === undefined ? target : `${target}${path`/${namespace}`}`
  // What is kept is kept as it was read: who set something meanwhile loses nothing.
  const ifMatch = found === undefined ? undefined : `"v${found.version}"`
  const answer = await cli.put<QuotaView>(place, body, { query: { dryRun }, ifMatch })
  cli.print({ namespace: answer.namespace, ...answer.limits })
}

async function listQuotas(cli: Cli): Promise<void> {
  const quotas = await cli.list<QuotaView>(path`/meshes/${await cli.meshId()}/quotas`)
  if (cli.output === 'yaml') return printDocuments(cli, { kind: 'Quota', views: quotas })
  cli.printTable(
    table(
      quotas,
      [
        { title: 'OF', value: ({ namespace }) => namespace ?? '(the mesh)' },
        {
          title: 'AT MOST',
          value: ({ limits }) => Object.entries(limits).map(([kind, max]) => `${kind}=${max}`),
        },
      ],
      ['no quotas', 'entente quota set services=100'],
    ),
  )
}

async function showUsage(cli: Cli, namespace: string | undefined): Promise<void> {
  const usage = await cli.get<UsageView>(path`/meshes/${await cli.meshId()}/usage`, {
    query: { namespace },
  })
  if (cli.output !== 'table') {
    cli.print(usage)
    return
  }
  cli.printTable(
    table(usage.counters, [
      { title: 'WHAT', value: ({ kind }) => kind },
      { title: 'USED', value: ({ used }) => used },
      { title: 'AT MOST', value: ({ limit }) => limit ?? 'no limit' },
    ]),
  )
}

function readLimits(texts: readonly string[]): Record<string, number | undefined> {
  return Object.fromEntries(texts.map(readLimit))
}

function readLimit(text: string): [string, number | undefined] {
  const [, kind = '', digits] = /^([A-Za-z]+)=([0-9]{0,10})$/.exec(text) ?? []
  if (digits === undefined) {
    throw usageFailure(`${quoted(text)} is no quota`, 'write it as services=100')
  }
  return [kind, digits === '' ? undefined : Number(digits)]
}
