import { type Command } from 'commander'
import { type CreatedJoinTokenView, type JoinTokenView } from '../../registry/api.ts'
import { type Cli } from '../cli.ts'
import { path } from '../client.ts'
import { table } from '../output.ts'
import { intoSecretFile } from '../secret-file.ts'
import { readSeconds } from './entry.ts'

interface CreateOptions {
  readonly id: string
  readonly ttl?: number
  readonly tokenFile?: string
  readonly dryRun?: boolean
}

/** `join-token`: first evidence for a workload, good once. */
export function registerJoinToken(program: Command, cli: Cli): void {
  const noun = program
    .command('join-token')
    .description('join tokens: first evidence for a workload, good once')
  noun
    .command('create')
    .description('make a join token for an identity, and its entry if there is none')
    .requiredOption('--id <id>', "SPIFFE ID, or a path in the mesh's trust domain ('/web')")
    .option('--ttl <seconds>', 'how long it can be used; default 3600', readSeconds)
    .option('--token-file <file>', 'write the token into a new file (0600) and do not print it')
    .option('--dry-run', 'show the effect and change nothing')
    .action((options: CreateOptions) => createToken(cli, options))
  noun
    .command('list')
    .description('list join tokens, used and ended ones of the last 30 days included')
    .action(() => listTokens(cli))
  noun
    .command('delete')
    .description('delete a join token; whoever holds it can use it no more')
    .argument('<id>', 'as in the list')
    .option('--dry-run', 'show the effect and change nothing')
    .action(async (id: string, { dryRun }: { dryRun?: boolean }) => {
      const target = path`/meshes/${await cli.meshId()}/join-tokens/${id}`
      cli.print(await cli.delete<JoinTokenView>(target, { query: { dryRun } }))
    })
}

async function createToken(cli: Cli, options: CreateOptions): Promise<void> {
  const { id: spiffeId, ttl, tokenFile, dryRun } = options
  const target = path`/meshes/${await cli.meshId()}/join-tokens`
  const body = { spiffeId, ...(ttl === undefined ? {} : { ttlSeconds: ttl }) }
  const make = () => cli.post<CreatedJoinTokenView>(target, body, { query: { dryRun } })
  if (tokenFile === undefined || dryRun === true) return cli.print(await make())
  const { token: _, ...made } = await intoSecretFile(tokenFile, make, ({ token }) => token)
  const command = made.command.replace('--token-file join.token', `--token-file ${tokenFile}`)
  cli.print({ ...made, tokenFile, command, next: [command] })
}

async function listTokens(cli: Cli): Promise<void> {
  const tokens = await cli.list<JoinTokenView>(path`/meshes/${await cli.meshId()}/join-tokens`)
  cli.printTable(
    table(
      tokens,
      [
        { title: 'ID', value: ({ id }) => id },
        { title: 'SPIFFE ID', value: ({ spiffeId }) => spiffeId },
        { title: 'STATE', value: ({ state }) => state },
        { title: 'EXPIRES', value: ({ expiresAt }) => expiresAt },
        { title: 'USED', value: ({ usedAt }) => usedAt },
      ],
      ['no join tokens', 'entente join-token create --id /PATH'],
    ),
  )
}
