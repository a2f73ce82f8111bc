import { type Command } from 'commander'
import {
  type DistrustChangedView,
  type DistrustedKeyView,
} from '../../federation/trust/distrust-api.ts'
import { type Cli } from '../cli.ts'
import { path } from '../client.ts'
import { formatNext, table } from '../output.ts'

interface DryRun {
  readonly dryRun?: boolean
}

/** `federation distrust`: keys of peers that this mesh trusts nowhere. */
export function registerDistrust(federation: Command, cli: Cli): void {
  const distrust = federation
    .command('distrust')
    .description("trust a peer's key nowhere in this mesh, in whatever certificate it comes")
    .argument('<sha256>', 'of the public key, hex; `federation doctor` shows the keys of a peer')
    .option('--note <text>', 'for people')
    .option('--dry-run', 'list where the key stands and what would no longer work')
    .action((sha256: string, options: DryRun & { readonly note?: string }) =>
      distrustKey(cli, sha256, options),
    )
  distrust
    .command('list')
    .description('list distrusted keys')
    .option('--lifted', 'those too of which the distrust was lifted')
    .action(({ lifted }: { readonly lifted?: boolean }) => list(cli, lifted))
  distrust
    .command('lift')
    .description('trust a key again wherever a peer publishes it')
    .argument('<sha256>')
    .option('--dry-run', 'show the effect and change nothing')
    .action((sha256: string, options: DryRun) => lift(cli, sha256, options))
}

async function distrustKey(
  cli: Cli,
  sha256: string,
  { note, dryRun }: DryRun & { readonly note?: string },
): Promise<void> {
  const changed = await cli.post<DistrustChangedView>(
    path`/meshes/${await cli.meshId()}/distrusted-keys`,
    { publicKeySha256: sha256, note },
    { query: { dryRun } },
  )
  const verb = dryRun === true ? 'would be distrusted' : 'is distrusted everywhere in this mesh'
  print(cli, changed, verb)
}

async function lift(cli: Cli, sha256: string, { dryRun }: DryRun): Promise<void> {
  const changed = await cli.delete<DistrustChangedView>(
    path`/meshes/${await cli.meshId()}/distrusted-keys/${sha256}`,
    { query: { dryRun }, ifMatch: '*' },
  )
  print(cli, changed, dryRun === true ? 'would be trusted again' : 'is trusted again')
}

function print(cli: Cli, changed: DistrustChangedView, verb: string): void {
  if (cli.output !== 'table') {
    cli.print(changed)
    return
  }
  cli.say(`key sha256:${changed.key.publicKeySha256} ${verb}`)
  if (changed.places.length === 0) cli.warn('no bundle in use holds this key now')
  cli.printTable(
    table(
      changed.effects,
      [
        { title: 'WHAT', value: ({ kind, name }) => `${kind} ${name}` },
        { title: 'EFFECT', value: ({ effect }) => effect },
      ],
      'nothing else changes',
    ),
  )
  cli.printText(formatNext(changed.next))
}

async function list(cli: Cli, lifted: boolean | undefined): Promise<void> {
  const keys = await cli.list<DistrustedKeyView>(
    path`/meshes/${await cli.meshId()}/distrusted-keys`,
    { lifted },
  )
  cli.printTable(
    table(
      keys,
      [
        { title: 'KEY SHA-256', value: ({ publicKeySha256 }) => publicKeySha256 },
        { title: 'SINCE', value: ({ since }) => since },
        { title: 'BY', value: ({ by }) => by },
        { title: 'LIFTED', value: ({ liftedAt }) => liftedAt ?? '-' },
        { title: 'NOTE', value: ({ note }) => note ?? '' },
      ],
      'no key is distrusted',
    ),
  )
}
