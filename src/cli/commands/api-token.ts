import { type FileHandle, open, rm } from 'node:fs/promises'
import { type Command, InvalidArgumentError } from 'commander'
import { type ApiTokenView, type CreatedApiTokenView } from '../../access/api.ts'
import { messageOf, quoted } from '../../errors.ts'
import { type Cli } from '../cli.ts'
import { path } from '../client.ts'
import { usageFailure } from '../failure.ts'
import { table } from '../output.ts'
import { type GrantOptions, grantBody, grantOptions } from './grant.ts'
import { grantText } from './whoami.ts'

interface CreateOptions extends GrantOptions {
  readonly days?: number
  readonly onlyMesh?: string
  readonly out?: string
  readonly dryRun?: boolean
}

/** `api-token`: who may speak to the admin API. */
export function registerApiToken(program: Command, cli: Cli): void {
  const token = program.command('api-token').description('tokens for the admin API')
  grantOptions(token.command('create'))
    .description('make a token; its secret is shown this once, or written to a file')
    .argument('<label>', 'what it is for; stands in the audit log')
    .option('--days <number>', 'days until it ends, 1 to 366 (default 90)', readDays)
    .option(
      '--only-mesh <mesh>',
      'good for this mesh only: its mesh-admin, unless --role says otherwise',
    )
    .option('--out <file>', 'write the secret to this new file (0600) instead of printing it')
    .option('--dry-run', 'show the effect and change nothing')
    .action((label: string, options: CreateOptions) => createToken(cli, label, options))
  token
    .command('list')
    .description('list tokens that were not revoked')
    .action(() => listTokens(cli))
  token
    .command('delete')
    .description('revoke a token at once')
    .argument('<id>', 'its id, from api-token list')
    .option('--dry-run', 'show the effect and change nothing')
    .action(async (id: string, { dryRun }: { readonly dryRun?: boolean }) =>
      cli.print(await cli.delete<ApiTokenView>(path`/api-tokens/${id}`, { query: { dryRun } })),
    )
}

async function createToken(cli: Cli, label: string, options: CreateOptions): Promise<void> {
  const { days, out, dryRun } = options
  const body = {
    label,
    ...(days === undefined ? {} : { ttlSeconds: days * 86_400 }),
    ...(await firstGrant(cli, options)),
  }
  const make = () => cli.post<CreatedApiTokenView>('/api-tokens', body, { query: { dryRun } })
  if (out === undefined || dryRun === true) return printToken(cli, await make())
  const made = await intoFile(out, make)
  printToken(cli, { ...made, next: made.next.map((next) => next.replace('=FILE', `=${out}`)) })
}

/** Without any of the options of grants the token may do everything, as its maker. */
async function firstGrant(cli: Cli, options: CreateOptions): Promise<Record<string, unknown>> {
  const { onlyMesh, role, namespaces, clusters } = options
  if (onlyMesh !== undefined) return { role, namespaces, clusters, meshId: onlyMesh }
  if (role === undefined && namespaces === undefined && clusters === undefined) return {}
  return grantBody(cli, options)
}

/** The file is made first: a secret that cannot be kept is not asked for. */
async function intoFile(
  out: string,
  make: () => Promise<CreatedApiTokenView>,
): Promise<CreatedApiTokenView> {
  const file = await newFile(out)
  try {
    const { token, ...made } = await make()
    await file.writeFile(`${token ?? ''}\n`)
    return made
  } catch (error) {
    await rm(out, { force: true })
    throw error
  } finally {
    await file.close()
  }
}

async function newFile(out: string): Promise<FileHandle> {
  try {
    return await open(out, 'wx', 0o600)
  } catch (cause) {
    throw usageFailure(`cannot make ${quoted(out)}: ${messageOf(cause)}`, 'name another file')
  }
}

function printToken(cli: Cli, token: CreatedApiTokenView): void {
  if (cli.output !== 'table') return cli.print(token)
  const { id, label, expiresAt, grants, token: secret, next } = token
  const may = grants.map(grantText).join(', ')
  cli.print({ id, label, expiresAt, may, token: secret, next })
}

async function listTokens(cli: Cli): Promise<void> {
  const tokens = await cli.list<ApiTokenView>('/api-tokens')
  cli.printTable(
    table(tokens, [
      { title: 'ID', value: (token) => token.id },
      { title: 'LABEL', value: (token) => token.label },
      { title: 'CREATED', value: (token) => token.createdAt },
      { title: 'ENDS', value: (token) => token.expiresAt ?? 'never' },
      { title: 'MAY', value: (token) => token.grants.map(grantText).join(', ') },
    ]),
  )
}

function readDays(value: string): number {
  const days = Number(value)
  if (Number.isInteger(days) && days >= 1 && days <= 366) return days
  throw new InvalidArgumentError('it must be a number of days from 1 to 366')
}
