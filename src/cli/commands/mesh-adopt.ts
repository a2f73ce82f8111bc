import { type Command, Option } from 'commander'
import type { AdoptedView } from '../../federation/adopt/adopt-api.ts'
import { type Cli } from '../cli.ts'
import { path } from '../client.ts'
import { usageFailure } from '../failure.ts'

interface AdoptOptions {
  readonly trustDomain: string
  readonly fromUrl?: string
  readonly fromPem?: string
  readonly fromFile?: string
  readonly profile?: 'https_web' | 'https_spiffe'
  readonly endpointId?: string
  readonly bundleFile?: string
  readonly policy?: string
  readonly endpointTrustDomain?: string
  readonly dryRun?: boolean
}

interface IssuerOptions {
  readonly trustDomain: string
  readonly dryRun?: boolean
}

const DRY_RUN = ['--dry-run', 'show the effect and change nothing'] as const

/** `mesh adopt|manage|release`: trust domains that another system (a running SPIRE or istiod) signs for. */
export function registerMeshAdopt(mesh: Command, cli: Cli): void {
  mesh
    .command('adopt')
    .description('take in a trust domain that another system goes on signing for; makes the mesh')
    .argument('<mesh>', 'a new mesh, or one of this service')
    .requiredOption('--trust-domain <td>', 'the one that the other system signs for')
    .option('--from-url <url>', 'the bundle endpoint of that system')
    .addOption(
      new Option('--profile <profile>', 'how that endpoint proves itself').choices([
        'https_web',
        'https_spiffe',
      ]),
    )
    .option('--endpoint-id <id>', 'SPIFFE ID of that endpoint, with https_spiffe')
    .option('--bundle-file <file>', 'its bundle, brought another way, with https_spiffe')
    .option('--from-pem <file>', 'its X.509 authorities as PEM, instead of a URL (- for stdin)')
    .option('--from-file <file>', 'its SPIFFE bundle, instead of a URL (- for stdin)')
    .addOption(
      new Option('--policy <policy>', 'how changes of its authorities are taken').choices([
        'auto',
        'overlap',
        'approve',
      ]),
    )
    .option(
      '--endpoint-trust-domain <td>',
      'for a new mesh: a trust domain of its own, under which we serve the bundles',
    )
    .option(...DRY_RUN)
    .action((meshId: string, options: AdoptOptions) => adopt(cli, meshId, options))
  registerIssuer(mesh, cli, {
    name: 'manage',
    description: 'begin to sign for an adopted trust domain, beside the system that does now',
  })
  registerIssuer(mesh, cli, {
    name: 'release',
    description: 'let the other system go: its authorities leave the bundle',
  })
}

function registerIssuer(
  mesh: Command,
  cli: Cli,
  { name, description }: { readonly name: 'manage' | 'release'; readonly description: string },
): void {
  mesh
    .command(name)
    .description(description)
    .argument('<mesh>')
    .requiredOption('--trust-domain <td>', 'the adopted trust domain')
    .option(...DRY_RUN)
    .action(async (meshId: string, { trustDomain, dryRun }: IssuerOptions) => {
      const url = path`/meshes/${meshId}/trust-domains/${trustDomain}`
      print(cli, await cli.post<AdoptedView>(`${url}/${name}`, undefined, { query: { dryRun } }))
    })
}

async function adopt(cli: Cli, meshId: string, options: AdoptOptions): Promise<void> {
  const body = {
    trustDomain: options.trustDomain,
    changePolicy: options.policy,
    endpointTrustDomain: options.endpointTrustDomain,
    ...(await sourceOf(cli, options)),
  }
  const { dryRun } = options
  print(
    cli,
    await cli.post<AdoptedView>(path`/meshes/${meshId}/adopt`, body, { query: { dryRun } }),
  )
}

async function sourceOf(cli: Cli, options: AdoptOptions): Promise<object> {
  const { fromUrl, fromPem, fromFile } = options
  const given = [fromUrl, fromPem, fromFile].filter((value) => value !== undefined)
  if (given.length !== 1) {
    throw usageFailure(
      `found ${given.length} places to read its authorities from, wanted one`,
      'give --from-url with --profile, or --from-pem, or --from-file',
    )
  }
  if (fromPem !== undefined) return { source: 'static', bundlePem: await textIn(cli, fromPem) }
  if (fromFile !== undefined) return { source: 'static', bundle: await textIn(cli, fromFile) }
  if (options.profile === undefined) throw usageFailure('--from-url needs --profile')
  const { bundleFile } = options
  return {
    source: options.profile,
    endpointUrl: fromUrl,
    endpointSpiffeId: options.endpointId,
    bundle: bundleFile === undefined ? undefined : await textIn(cli, bundleFile),
  }
}

async function textIn(cli: Cli, file: string): Promise<string> {
  return new TextDecoder().decode(await cli.readInput(file))
}

function print(cli: Cli, view: AdoptedView): void {
  if (cli.output !== 'table') {
    cli.print(view)
    return
  }
  for (const warning of view.warnings) cli.warn(warning)
  cli.print({
    mesh: view.mesh.meshId,
    trustDomains: view.mesh.trustDomains
      .map(({ name, issuer, bundleUrl }) => `${name} (${issuer}) at ${bundleUrl}`)
      .join(', '),
    readAs: view.source,
    next: view.next,
  })
}
