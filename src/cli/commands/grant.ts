import { type Command, Option } from 'commander'
import { type CreatedGrantView, type TokenGrantView } from '../../access/api.ts'
import { type Cli } from '../cli.ts'
import { path } from '../client.ts'
import { table } from '../output.ts'
import { grantText } from './whoami.ts'

/** A grant as the options of a command name it. */
export interface GrantOptions {
  readonly role?: string
  readonly namespaces?: readonly string[]
  readonly clusters?: readonly string[]
}

const ROLE_HELP = 'platform-admin, mesh-admin, cluster-admin, developer or auditor'

/** The options by which `grant create` and `api-token create` name a grant; the mesh is the command's. */
export function grantOptions(command: Command): Command {
  return command
    .addOption(new Option('--role <role>', `what it may do: ${ROLE_HELP}`))
    .option('--namespaces <names>', 'only in these namespaces, by comma (for developer)', readNames)
    .option(
      '--clusters <names>',
      'only for these clusters, by comma (for cluster-admin)',
      readNames,
    )
}

/**
 * The body of a grant. platform-admin, and an auditor without `--mesh`, reach everything; all others are for the mesh
 * that the command is about.
 */
export async function grantBody(cli: Cli, options: GrantOptions): Promise<Record<string, unknown>> {
  const { role, namespaces, clusters } = options
  const isWhole = namespaces === undefined && clusters === undefined
  const isService = role === 'platform-admin' || (role === 'auditor' && isWhole)
  const meshId = isService ? cli.meshOption() : await cli.meshId()
  return { role, meshId, namespaces, clusters }
}

/** `grant`: what tokens may do. */
export function registerGrant(program: Command, cli: Cli): void {
  const noun = program.command('grant').description('what tokens may do, and where')
  grantOptions(noun.command('create'))
    .description('give a token one more grant; nobody gives more than they hold')
    .requiredOption('--token <id>', 'the token, from api-token list')
    .option('--dry-run', 'show the effect and change nothing')
    .action((options: GrantOptions & { token: string; dryRun?: boolean }) =>
      createGrant(cli, options),
    )
  noun
    .command('list')
    .description('list grants')
    .option('--token <id>', 'of this token only')
    .action((options: { token?: string }) => listGrants(cli, options.token))
  noun
    .command('delete')
    .description('take a grant away at once')
    .argument('<id>', 'its id, from grant list')
    .option('--dry-run', 'show the effect and change nothing')
    .action(async (id: string, { dryRun }: { readonly dryRun?: boolean }) =>
      printGrant(cli, await cli.delete<TokenGrantView>(path`/grants/${id}`, { query: { dryRun } })),
    )
}

async function createGrant(
  cli: Cli,
  { token, dryRun, ...options }: GrantOptions & { token: string; dryRun?: boolean },
): Promise<void> {
  const body = { tokenId: token, ...(await grantBody(cli, options)) }
  printGrant(cli, await cli.post<CreatedGrantView>('/grants', body, { query: { dryRun } }))
}

async function listGrants(cli: Cli, tokenId: string | undefined): Promise<void> {
  const grants = await cli.list<TokenGrantView>('/grants', { tokenId })
  cli.printTable(
    table(
      grants,
      [
        { title: 'ID', value: ({ id }) => id },
        { title: 'TOKEN', value: (grant) => grant.tokenId },
        { title: 'MAY', value: grantText },
        { title: 'SINCE', value: ({ createdAt }) => createdAt },
      ],
      ['no grants', 'entente grant create --token ID --role developer --namespaces NAME'],
    ),
  )
}

function printGrant(cli: Cli, grant: TokenGrantView | CreatedGrantView): void {
  if (cli.output !== 'table') {
    cli.print(grant)
    return
  }
  cli.print({
    id: grant.id,
    token: grant.tokenId,
    may: grantText(grant),
    since: grant.createdAt,
    ...('next' in grant ? { next: grant.next } : {}),
  })
}

function readNames(text: string): string[] {
  return text
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '')
}
