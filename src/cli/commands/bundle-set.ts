import { type Command } from 'commander'
import { type RelationshipView } from '../../federation/api.ts'
import { type BundleSetView } from '../../federation/peer-bundle/peer-bundle-api.ts'
import { type Cli } from '../cli.ts'
import { path } from '../client.ts'
import { isPem } from './bundle-text.ts'
import { usageFailure } from '../failure.ts'

interface SetOptions {
  readonly file: string
  readonly trustDomain?: string
  readonly fingerprint?: string
  readonly dryRun?: boolean
}

/** `bundle set`: a peer's bundle by hand, the way out when its endpoint can no longer be authenticated. */
export function registerBundleSet(bundleCommand: Command, cli: Cli): void {
  bundleCommand
    .command('set')
    .description("set a peer's bundle by hand; it counts until the next successful fetch")
    .argument('<relationship>')
    .requiredOption(
      '--file <file>',
      'a SPIFFE bundle, a signed bundle or PEM certificates, brought another way (- for stdin)',
    )
    .option('--trust-domain <td>', 'where the relationship has several')
    .option(
      '--fingerprint <digits>',
      'what you compared aloud; nothing is set unless it is this one',
    )
    .option('--dry-run', 'show what would be added and removed, and change nothing')
    .action((name: string, options: SetOptions) => setBundle(cli, name, options))
}

async function setBundle(
  cli: Cli,
  name: string,
  { file, trustDomain, fingerprint, dryRun }: SetOptions,
): Promise<void> {
  const text = new TextDecoder().decode(await cli.readInput(file))
  const mesh = await cli.meshId()
  const domain = trustDomain ?? (await onlyDomain(cli, mesh, name))
  const target = path`/meshes/${mesh}/relationships/${name}/bundles/${domain}`
  cli.print(
    await cli.post<BundleSetView>(
      target,
      { ...documentOf(text), fingerprint },
      { query: { dryRun } },
    ),
  )
}

/** The trust domain of a relationship that has one only; throws a usage failure naming several. */
export async function onlyDomain(cli: Cli, mesh: string, name: string): Promise<string> {
  const view = await cli.get<RelationshipView>(path`/meshes/${mesh}/relationships/${name}`)
  const [only, another] = view.domains.map(({ trustDomain }) => trustDomain)
  if (only !== undefined && another === undefined) return only
  const names = view.domains.map(({ trustDomain }) => trustDomain).join(', ')
  throw usageFailure(
    `relationship ${name} has several trust domains (${names})`,
    'name one with --trust-domain TD',
  )
}

function documentOf(text: string): { readonly document: string } | { readonly bundlePem: string } {
  return isPem(text) ? { bundlePem: text } : { document: text }
}
