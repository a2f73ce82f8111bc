import { type Command } from 'commander'
import { type WhoamiView } from '../../access/api.ts'
import { type Cli } from '../cli.ts'

/** `whoami`: whom the token stands for. */
export function registerWhoami(program: Command, cli: Cli): void {
  program
    .command('whoami')
    .description('show whom the token stands for and what it may do')
    .action(async () => {
      const me = await cli.get<WhoamiView>('/whoami')
      if (cli.output !== 'table') return cli.print(me)
      cli.print({
        name: me.name,
        tokenId: me.tokenId,
        expiresAt: me.expiresAt ?? 'never',
        may: me.grants.map(grantText).join(', ') || 'nothing',
      })
    })
}

/** A grant in words: `developer on namespaces pay, shop of mesh acme`. */
export function grantText(grant: Omit<WhoamiView['grants'][number], 'id'>): string {
  const { role, meshId, clusters, namespaces } = grant
  if (meshId === undefined) return `${role} on everything`
  const [kind, names] = clusters === undefined ? ['namespaces', namespaces] : ['clusters', clusters]
  if (names === undefined) return `${role} on mesh ${meshId}`
  return `${role} on ${kind} ${names.join(', ')} of mesh ${meshId}`
}
