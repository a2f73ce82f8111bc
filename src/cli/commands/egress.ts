import { type Command } from 'commander'
import {
  type CreatedEgressRuleView,
  type EgressRuleView,
} from '../../federation/egress/egress-api.ts'
import { type Cli } from '../cli.ts'
import { path } from '../client.ts'
import { CliFailure, usageFailure } from '../failure.ts'
import { table } from '../output.ts'

interface AllowOptions {
  readonly note?: string
  readonly dryRun?: boolean
}

/** `egress`: which destinations beyond public addresses the service may connect to. */
export function registerEgress(program: Command, cli: Cli): void {
  const egress = program
    .command('egress')
    .description('destinations that outgoing connections may reach although they are not public')
  egress
    .command('allow')
    .description('open a destination; with --mesh for connections of that mesh only')
    .argument('<rule>', '10.20.0.0/16, 10.0.0.7:8443, localhost, peer.internal:8443, …')
    .option('--note <text>', 'for people')
    .option('--dry-run', 'show the effect and change nothing')
    .action((rule: string, options: AllowOptions, command: Command) =>
      allow(cli, rule, { ...options, mesh: namedMesh(command) }),
    )
  egress
    .command('list')
    .description('list what is open, by configuration and by setting')
    .action(() => list(cli))
  egress
    .command('remove')
    .description('close a destination again')
    .argument('<rule>', 'as `egress list` shows it, or its id')
    .option('--dry-run', 'show the effect and change nothing')
    .action((rule: string, { dryRun }: { dryRun?: boolean }, command: Command) =>
      remove(cli, rule, { dryRun, mesh: namedMesh(command) }),
    )
}

// Only a mesh named on this very command line narrows a rule; ENTENTE_MESH is for commands about a mesh.
function namedMesh(command: Command): string | undefined {
  return command.optsWithGlobals<{ mesh?: string }>().mesh
}

async function allow(
  cli: Cli,
  rule: string,
  { note, dryRun, mesh }: AllowOptions & { readonly mesh: string | undefined },
): Promise<void> {
  const body = { rule, note, meshId: mesh }
  cli.print(await cli.post<CreatedEgressRuleView>('/egress-rules', body, { query: { dryRun } }))
}

async function list(cli: Cli): Promise<void> {
  const rules = await cli.list<EgressRuleView>('/egress-rules')
  cli.printTable(
    table(
      rules,
      [
        { title: 'RULE', value: ({ rule }) => rule },
        { title: 'MESH', value: ({ meshId }) => meshId ?? 'all' },
        { title: 'FROM', value: ({ source }) => source },
        { title: 'NOTE', value: ({ note }) => note ?? '' },
        { title: 'ID', value: ({ id }) => id ?? '-' },
      ],
      ['nothing beyond public addresses', 'entente egress allow RULE'],
    ),
  )
}

async function remove(
  cli: Cli,
  rule: string,
  { dryRun, mesh }: { readonly dryRun: boolean | undefined; readonly mesh: string | undefined },
): Promise<void> {
  const { id } = await findRule(cli, rule, mesh)
  const gone = await cli.delete<EgressRuleView>(path`/egress-rules/${id}`, { query: { dryRun } })
  cli.print(gone)
}

async function findRule(
  cli: Cli,
  rule: string,
  mesh: string | undefined,
): Promise<{ readonly id: string }> {
  const rules = await cli.list<EgressRuleView>('/egress-rules')
  const named = rules.filter((one) => one.id === rule || one.rule === rule.toLowerCase())
  const meant = mesh === undefined ? named : named.filter(({ meshId }) => meshId === mesh)
  const [only, another] = meant.flatMap(({ id }) => (id === null ? [] : [{ id }]))
  if (another !== undefined) {
    throw usageFailure(`several rules read ${rule}`, 'name one by its id, or with --mesh MESH')
  }
  if (only !== undefined) return only
  const configured =
    meant.length > 0 ? '; it is set in the configuration (ENTENTE_EGRESS_ALLOW)' : ''
  throw new CliFailure(`there is no egress setting ${rule}${configured}`, {
    next: ['entente egress list'],
  })
}
