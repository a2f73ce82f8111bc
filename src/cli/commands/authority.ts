import { type Command, Argument } from 'commander'
import type { AuthorityView, ChangedAuthorityView } from '../../authority/api.ts'
import { type Cli } from '../cli.ts'
import { path } from '../client.ts'
import { CliFailure } from '../failure.ts'
import { table } from '../output.ts'

const KINDS = ['x509_root', 'x509_intermediate', 'jwt'] as const

/** `authority`: the keys that sign for a mesh. */
export function registerAuthority(program: Command, cli: Cli): void {
  const authority = program.command('authority').description('the keys that sign for a mesh')
  authority
    .command('list')
    .description('list authorities and where they are in their lives')
    .option('--trust-domain <td>', 'only this trust domain')
    .option('--removed', 'also those that were removed')
    .action((options: { trustDomain?: string; removed?: boolean }) => list(cli, options))
  authority
    .command('prepare')
    .description('prepare a successor: published now, signing once it is known')
    .addArgument(new Argument('<kind>').choices(KINDS))
    .option('--trust-domain <td>', "default the mesh's primary one")
    .option('--cluster <cluster>', 'for an intermediate')
    .option('--dry-run', 'show the effect and change nothing')
    .action((kind: string, options: PrepareOptions) => prepare(cli, kind, options))
  authority
    .command('activate')
    .description('let a prepared authority sign; its predecessor retires')
    .argument('<authority>', 'its id, or its kind where one of that kind is prepared')
    .option('--force', 'although workloads or peers may not know it yet')
    .option('--dry-run', 'show the effect and change nothing')
    .action((named: string, options: { force?: boolean; dryRun?: boolean }) =>
      activate(cli, named, options),
    )
}

interface PrepareOptions {
  readonly trustDomain?: string
  readonly cluster?: string
  readonly dryRun?: boolean
}

async function list(
  cli: Cli,
  query: { readonly trustDomain?: string; readonly removed?: boolean },
): Promise<void> {
  const mesh = await cli.meshId()
  const authorities = await cli.list<AuthorityView>(path`/meshes/${mesh}/authorities`, { ...query })
  cli.printTable(
    table(
      authorities.toSorted((one, other) => (one.preparedAt < other.preparedAt ? -1 : 1)),
      [
        { title: 'ID', value: ({ id }) => id },
        { title: 'KIND', value: ({ kind }) => kind },
        { title: 'CLUSTER', value: ({ cluster }) => cluster ?? '' },
        { title: 'STATE', value: (one) => (one.endpointOnly ? 'retired (endpoints)' : one.state) },
        { title: 'ENDS', value: ({ notAfter }) => notAfter },
        { title: 'NEXT', value: nextOf },
      ],
      'no authorities',
    ),
  )
}

function nextOf(authority: AuthorityView): string {
  const { state, waitingFor, successorPreparedAt, removeAt } = authority
  if (state === 'active') return `successor prepared at ${successorPreparedAt ?? ''}`
  if (state === 'retired') return `removed at ${removeAt ?? authority.notAfter}`
  if (state !== 'prepared') return ''
  if (waitingFor.length === 0) return 'can be activated'
  return waitingFor.map(({ detail }) => detail).join('; ')
}

async function prepare(cli: Cli, kind: string, options: PrepareOptions): Promise<void> {
  const { dryRun, ...rest } = options
  const mesh = await cli.meshId()
  const target = path`/meshes/${mesh}/authorities`
  const body = { kind, ...rest }
  print(cli, await cli.post<ChangedAuthorityView>(target, body, { query: { dryRun } }))
}

async function activate(
  cli: Cli,
  named: string,
  { force = false, dryRun }: { readonly force?: boolean; readonly dryRun?: boolean },
): Promise<void> {
  const mesh = await cli.meshId()
  const id = await idOf(cli, mesh, named)
  const target = path`/meshes/${mesh}/authorities/${id}/activate`
  print(cli, await cli.post<ChangedAuthorityView>(target, { force }, { query: { dryRun } }))
}

async function idOf(cli: Cli, mesh: string, named: string): Promise<string> {
  if (!KINDS.some((kind) => kind === named)) return named
  const authorities = await cli.list<AuthorityView>(path`/meshes/${mesh}/authorities`)
  const prepared = authorities.filter(({ kind, state }) => kind === named && state === 'prepared')
  const [only, another] = prepared
  if (only !== undefined && another === undefined) return only.id
  if (only === undefined) {
    throw new CliFailure(`no ${named} is prepared`, {
      next: [`entente authority prepare ${named}`],
    })
  }
  throw new CliFailure(`several ${named} are prepared; name one by its id`, {
    next: ['entente authority list'],
  })
}

function print(cli: Cli, changed: ChangedAuthorityView): void {
  if (cli.output !== 'table') {
    cli.print(changed)
    return
  }
  const { id, kind, state, notAfter, publishedSequence, next } = changed
  cli.print({ authority: id, kind, state, ends: notAfter, publishedSequence, next })
}
