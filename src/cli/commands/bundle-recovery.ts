import { type Command } from 'commander'
import { type OwnRecoveryAnswer } from '../../federation/recovery/own-recovery-api.ts'
import { type MeshView } from '../../mesh/api.ts'
import { type Cli } from '../cli.ts'
import { path } from '../client.ts'
import { usageFailure } from '../failure.ts'
import { table } from '../output.ts'
import { recoveryOf, type RecoveryOptions, withRecoveryOptions } from './federation-recovery.ts'

interface DomainOption {
  readonly trustDomain?: string
}

/** `bundle recovery`: how peers may renew our bundle once its endpoint cannot be authenticated. */
export function registerBundleRecovery(bundle: Command, cli: Cli): void {
  const recovery = bundle
    .command('recovery')
    .description('how peers may renew our bundle when its endpoint can no longer be authenticated')
  recovery
    .command('show')
    .description('show what peers are told')
    .option('--trust-domain <td>', "default the mesh's primary one")
    .action(async (options: DomainOption) =>
      print(cli, await cli.get<OwnRecoveryAnswer>(await target(cli, options))),
    )
  const set = recovery
    .command('set')
    .description('tell peers; in invites from now on, and peers of ours are asked to agree')
    .option('--trust-domain <td>', "default the mesh's primary one")
    .option('--none', 'take all away')
    .option('--dry-run', 'check it and change nothing')
  withRecoveryOptions(set).action((options: SetOptions) => setRecovery(cli, options))
}

interface SetOptions extends DomainOption, RecoveryOptions {
  readonly none?: boolean
  readonly dryRun?: boolean
}

async function setRecovery(cli: Cli, options: SetOptions): Promise<void> {
  const { dryRun, none } = options
  const paths = await recoveryOf(cli, options)
  if ((paths === undefined) !== (none === true)) {
    throw usageFailure('give --recovery, once for each path, or --none')
  }
  const body = { recovery: paths ?? [] }
  const url = await target(cli, options)
  print(cli, await cli.put<OwnRecoveryAnswer>(url, body, { query: { dryRun } }))
}

async function target(cli: Cli, { trustDomain }: DomainOption): Promise<string> {
  const mesh = await cli.meshId()
  const name = trustDomain ?? (await primary(cli, mesh))
  return path`/meshes/${mesh}/trust-domains/${name}/recovery`
}

async function primary(cli: Cli, mesh: string): Promise<string> {
  const { trustDomains } = await cli.get<MeshView>(path`/meshes/${mesh}`)
  return trustDomains.find(({ isPrimary }) => isPrimary)?.name ?? ''
}

function print(cli: Cli, { recovery }: OwnRecoveryAnswer): void {
  cli.printTable(
    table(
      recovery,
      [
        { title: 'KIND', value: ({ kind }) => kind },
        { title: 'PROFILE', value: ({ source }) => source ?? '' },
        { title: 'URL', value: ({ endpointUrl }) => endpointUrl ?? 'by hand' },
        {
          title: 'BY',
          value: (one) => one.endpointSpiffeId ?? (one.publicKey ? 'recovery key' : ''),
        },
      ],
      [
        'none',
        'entente recovery-key create --out FILE',
        'entente bundle recovery set --recovery key,FILE.jwk',
      ],
    ),
  )
}
