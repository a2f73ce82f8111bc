import { type Command, InvalidArgumentError, Option } from 'commander'
import type { ChangedMeshView, CreatedMeshView, EndedView, MeshView } from '../../mesh/api.ts'
import { type Cli } from '../cli.ts'
import { path } from '../client.ts'
import { usageFailure } from '../failure.ts'
import { printDocuments } from '../declarative/print.ts'
import { table } from '../output.ts'
import { registerMeshAdopt } from './mesh-adopt.ts'

interface CreateOptions {
  readonly trustDomain: string
  readonly displayName?: string
  readonly dnsSuffix?: string
  readonly environment?: string
  readonly bundleHost?: string
  readonly profile?: string
  readonly availabilityTarget?: number
  readonly set?: Readonly<Record<string, number>>
  readonly dryRun?: boolean
}

interface SetOptions {
  readonly displayName?: string
  readonly dnsSuffix?: string
  readonly environment?: string
  readonly availabilityTarget?: number
  readonly set?: Readonly<Record<string, number>>
  readonly dryRun?: boolean
}

const TARGET = '--availability-target <tier>'
const TARGET_HELP = 'tier of control plane placement, 1 to 5, below which an alert is raised'
const SET = '--set <setting=seconds>'
const SET_HELP = 'a setting of keys and bundle, as hintSeconds=60; repeatable'
const DRY_RUN = ['--dry-run', 'show the effect and change nothing'] as const

/** `mesh`: the meshes of this service. */
export function registerMesh(program: Command, cli: Cli): void {
  const mesh = program.command('mesh').description('the meshes of this service')
  mesh
    .command('create')
    .description('create a mesh: authorities, published bundle, rules')
    .argument('<mesh>', 'its id: a DNS label, never changed')
    .requiredOption('--trust-domain <td>', 'its trust domain, for example acme.example')
    .option('--display-name <text>', 'for people')
    .option('--dns-suffix <suffix>', 'suffix of imported host names; default mesh.internal')
    .option('--environment <name>', 'for example production')
    .option('--bundle-host <host>', 'host of its bundle endpoint; default <mesh>.<public host>')
    .addOption(
      new Option('--profile <profile>', 'how peers authenticate the endpoint').choices([
        'https_spiffe',
        'https_web',
      ]),
    )
    .option(TARGET, TARGET_HELP, readTier)
    .option(SET, SET_HELP, readSetting)
    .option(...DRY_RUN)
    .action((meshId: string, options: CreateOptions) => createMesh(cli, meshId, options))
  mesh
    .command('list')
    .description('list meshes')
    .action(() => listMeshes(cli))
  mesh
    .command('show')
    .description('show a mesh, and what to hand to its peers')
    .argument('[mesh]')
    .action((meshId?: string) => showMesh(cli, meshId))
  mesh
    .command('set')
    .description('change names and settings of a mesh')
    .argument('[mesh]')
    .option('--display-name <text>', 'for people')
    .option('--dns-suffix <suffix>', 'suffix of imported host names')
    .option('--environment <name>', 'for example production; empty takes it away')
    .option(TARGET, `${TARGET_HELP}; 0 takes it away`, readTier)
    .option(SET, SET_HELP, readSetting)
    .option(...DRY_RUN)
    .action((meshId: string | undefined, options: SetOptions) => setMesh(cli, meshId, options))
  registerMeshAdopt(mesh, cli)
  mesh
    .command('delete')
    .description('delete a mesh with everything that is its own')
    .argument('<mesh>')
    .option('--force', 'although active relationships end with it')
    .option('--dry-run', 'list what would end and change nothing')
    .action((meshId: string, options: { force?: boolean; dryRun?: boolean }) =>
      deleteMesh(cli, meshId, options),
    )
}

async function createMesh(cli: Cli, meshId: string, options: CreateOptions): Promise<void> {
  const { set, dryRun, ...rest } = options
  const body = { meshId, ...rest, ...(set === undefined ? {} : { settings: set }) }
  const created = await cli.post<CreatedMeshView>('/meshes', body, { query: { dryRun } })
  printMesh(cli, created)
}

async function showMesh(cli: Cli, named: string | undefined): Promise<void> {
  const mesh = await cli.get<MeshView>(await targetOf(cli, named))
  if (cli.output === 'yaml') return printDocuments(cli, { kind: 'Mesh', views: [mesh] })
  printMesh(cli, mesh)
}

async function listMeshes(cli: Cli): Promise<void> {
  const meshes = await cli.list<MeshView>('/meshes')
  if (cli.output === 'yaml') return printDocuments(cli, { kind: 'Mesh', views: meshes })
  cli.printTable(
    table(
      meshes,
      [
        { title: 'MESH', value: (mesh) => mesh.meshId },
        {
          title: 'TRUST DOMAINS',
          value: (mesh) => mesh.trustDomains.map(({ name }) => name).join(', '),
        },
        { title: 'BUNDLE URL', value: (mesh) => mesh.trustDomains[0]?.bundleUrl },
        { title: 'PROFILE', value: (mesh) => mesh.trustDomains[0]?.profile },
        { title: 'ENVIRONMENT', value: (mesh) => mesh.environment ?? '' },
      ],
      ['no mesh yet', 'entente mesh create acme --trust-domain acme.example'],
    ),
  )
}

async function setMesh(cli: Cli, named: string | undefined, options: SetOptions): Promise<void> {
  const { set, dryRun, environment, availabilityTarget: target, ...rest } = options
  const body = {
    ...rest,
    ...(target === undefined ? {} : { availabilityTarget: target === 0 ? null : target }),
    ...(environment === undefined ? {} : { environment: environment === '' ? null : environment }),
    ...(set === undefined ? {} : { settings: set }),
  }
  if (Object.keys(body).length === 0) {
    throw usageFailure(
      'nothing to change',
      'give --set, --display-name, --dns-suffix, --environment or --availability-target',
    )
  }
  const changed = await cli.patch<ChangedMeshView>(await targetOf(cli, named), body, {
    query: { dryRun },
  })
  printMesh(cli, changed)
}

async function deleteMesh(
  cli: Cli,
  meshId: string,
  query: { readonly force?: boolean; readonly dryRun?: boolean },
): Promise<void> {
  const { ended } = await cli.delete<EndedView>(path`/meshes/${meshId}`, { query: { ...query } })
  cli.say(query.dryRun === true ? `deleting ${meshId} would end:` : `deleted ${meshId}; ended:`)
  cli.printTable(
    table(
      ended,
      [
        { title: 'KIND', value: ({ kind }) => kind },
        { title: 'NAME', value: ({ name }) => name },
        { title: 'EFFECT', value: ({ effect }) => effect },
        { title: 'NEEDS FORCE', value: ({ blocks }) => (blocks ? 'yes' : 'no') },
      ],
      'nothing else',
    ),
  )
}

async function targetOf(cli: Cli, named: string | undefined): Promise<string> {
  return path`/meshes/${named ?? (await cli.meshId())}`
}

// On a terminal what a person hands to a peer comes first; JSON and YAML print all of it.
function printMesh(cli: Cli, mesh: MeshView | CreatedMeshView | ChangedMeshView): void {
  if (cli.output !== 'table') {
    cli.print(mesh)
    return
  }
  const [domain] = mesh.trustDomains
  cli.print({
    mesh: mesh.meshId,
    displayName: mesh.displayName,
    trustDomain: mesh.trustDomains.map(({ name }) => name).join(', '),
    bundleUrl: domain?.bundleUrl,
    profile: domain?.profile,
    endpointId: domain?.endpointSpiffeId,
    host: domain?.hostCheck?.detail,
    clusters: mesh.clusters.map(({ name }) => name).join(', '),
    availability: `tier ${mesh.availability.tier}: ${mesh.availability.reason}`,
    ...availabilityHints(mesh),
    environment: mesh.environment,
    dnsSuffix: mesh.dnsSuffix,
    settings: Object.entries(mesh.settings)
      .map(([name, value]) => `${name}=${value}`)
      .join(' '),
    ...('crossesEnvironments' in mesh && mesh.crossesEnvironments.length > 0
      ? { crossesEnvironments: mesh.crossesEnvironments.join(', ') }
      : {}),
    ...('next' in mesh ? { next: mesh.next } : {}),
  })
}

// A mesh of one cluster is at the top: whoever has more, or wants more, is told what would raise it.
function availabilityHints({ availability }: MeshView): Record<string, unknown> {
  const { target, met, raise } = availability
  return {
    ...(target === null
      ? {}
      : { availabilityTarget: `tier ${target}, ${met ? 'met' : 'NOT met'}` }),
    ...(raise.length === 0 ? {} : { raisedBy: raise }),
  }
}

function readTier(text: string): number {
  if (/^[0-5]$/.test(text)) return Number(text)
  throw new InvalidArgumentError('a tier is a whole number from 1 to 5')
}

function readSetting(
  text: string,
  before: Readonly<Record<string, number>> = {},
): Record<string, number> {
  const [name = '', value = '', ...rest] = text.split('=')
  if (name === '' || rest.length > 0 || !/^[0-9]{1,12}$/.test(value)) {
    throw new InvalidArgumentError('write it as name=seconds, for example hintSeconds=60')
  }
  return { ...before, [name]: Number(value) }
}
