import { type Command, Option } from 'commander'
import {
  type ChangedClusterView,
  type ClusterView,
  type CreatedClusterView,
  type MovedClusterView,
} from '../../mesh/topology/cluster-api.ts'
import { type Cli } from '../cli.ts'
import { printDocuments } from '../declarative/print.ts'
import { usageFailure } from '../failure.ts'
import { table } from '../output.ts'
import {
  deleteObject,
  type DeleteOptions,
  DRY_RUN,
  LOCALITY,
  type LocalityOption,
  placeOf,
  readLocality,
  readNames,
  registerStates,
  topologyPath,
} from './topology-options.ts'

interface ClusterOptions {
  readonly role?: string
  readonly locality?: LocalityOption
  readonly networks?: readonly string[]
  readonly controlPlanes?: readonly string[]
  readonly ownControlPlane?: string
  readonly dryRun?: boolean
}

interface MoveOptions extends Pick<ClusterOptions, 'networks' | 'controlPlanes' | 'dryRun'> {
  readonly toMesh: string
}

const NETWORKS = ['--networks <names>', 'the networks that it is in, with commas between'] as const
const PLANES = [
  '--control-planes <names>',
  'the control planes that it uses, the first one first, with commas between',
] as const
const OWN = [
  '--own-control-plane <name>',
  "name of a primary cluster's own control plane; default the cluster's name",
] as const

/** `cluster`: the clusters of a mesh. */
export function registerCluster(program: Command, cli: Cli): void {
  const cluster = program.command('cluster').description('the clusters of a mesh')
  withOptions(cluster.command('create'), roleOption().makeOptionMandatory())
    .description('add a cluster, with an intermediate of its own')
    .action((name: string, options: ClusterOptions) => createCluster(cli, name, options))
  cluster
    .command('list')
    .description('list clusters')
    .action(() => listClusters(cli))
  cluster
    .command('show')
    .description('show a cluster and the order in which it tries its control planes')
    .argument('<name>')
    .action((name: string) => showCluster(cli, name))
  withOptions(cluster.command('change'), roleOption())
    .description('change role, place, networks or control planes; lists are replaced as a whole')
    .action((name: string, options: ClusterOptions) => changeCluster(cli, name, options))
  const print = (view: unknown): void => printCluster(cli, view as ClusterView)
  registerStates(cluster, cli, { collection: 'clusters', print })
  cluster
    .command('move')
    .description('move a cluster to another mesh: its identities are issued anew there')
    .argument('<name>')
    .requiredOption('--to-mesh <mesh>', 'the mesh that it is to be in')
    .option(...NETWORKS, readNames)
    .option(...PLANES, readNames)
    .option('--dry-run', 'list every identity that changes, and change nothing')
    .action((name: string, options: MoveOptions) => moveCluster(cli, name, options))
  cluster
    .command('delete')
    .description('delete a cluster with its intermediate and what runs in it')
    .argument('<name>')
    .option('--force', 'although something uses it')
    .option('--dry-run', 'list what would end and change nothing')
    .action((name: string, options: DeleteOptions) =>
      deleteObject(cli, { collection: 'clusters', name }, options),
    )
}

function roleOption(): Option {
  return new Option('--role <role>', 'primary: has a control plane of its own').choices([
    'primary',
    'remote',
  ])
}

function withOptions(command: Command, role: Option): Command {
  return command
    .argument('<name>')
    .addOption(role)
    .option(...LOCALITY, readLocality)
    .option(...NETWORKS, readNames)
    .option(...PLANES, readNames)
    .option(...OWN)
    .option(...DRY_RUN)
}

async function createCluster(cli: Cli, name: string, options: ClusterOptions): Promise<void> {
  const { dryRun, ...rest } = options
  const target = await topologyPath(cli, 'clusters')
  const body = { name, ...rest }
  printCluster(cli, await cli.post<CreatedClusterView>(target, body, { query: { dryRun } }))
}

async function changeCluster(cli: Cli, name: string, options: ClusterOptions): Promise<void> {
  const { dryRun, ...body } = options
  if (Object.keys(body).length === 0) {
    throw usageFailure(
      'nothing to change',
      'give --role, --locality, --networks, --control-planes, or drain, disable or activate it',
    )
  }
  const target = await topologyPath(cli, 'clusters', name)
  printCluster(cli, await cli.patch<ClusterView>(target, body, { query: { dryRun } }))
}

async function listClusters(cli: Cli): Promise<void> {
  const clusters = await cli.list<ClusterView>(await topologyPath(cli, 'clusters'))
  if (cli.output === 'yaml') return printDocuments(cli, { kind: 'Cluster', views: clusters })
  cli.printTable(
    table(
      clusters,
      [
        { title: 'NAME', value: ({ name }) => name },
        { title: 'ROLE', value: ({ role }) => role },
        { title: 'STATE', value: ({ state }) => state },
        { title: 'PLACE', value: ({ locality }) => placeOf(locality) },
        { title: 'NETWORKS', value: ({ networks }) => networks.join(', ') },
        { title: 'CONTROL PLANES', value: ({ controlPlanes }) => controlPlanes.join(', ') },
        { title: 'TRIES FIRST', value: ({ controlPlaneOrder: [first] }) => first?.name },
      ],
      'no clusters',
    ),
  )
}

async function showCluster(cli: Cli, name: string): Promise<void> {
  const cluster = await cli.get<ClusterView>(await topologyPath(cli, 'clusters', name))
  if (cli.output === 'yaml') return printDocuments(cli, { kind: 'Cluster', views: [cluster] })
  printCluster(cli, cluster)
}

async function moveCluster(cli: Cli, name: string, options: MoveOptions): Promise<void> {
  const { dryRun, ...body } = options
  const target = `${await topologyPath(cli, 'clusters', name)}/move`
  const moved = await cli.post<MovedClusterView>(target, body, { query: { dryRun } })
  if (cli.output !== 'table') {
    cli.print(moved)
    return
  }
  cli.say(`cluster ${name} ${dryRun === true ? 'would be' : 'is'} in mesh ${moved.meshId}:`)
  cli.printTable(
    table(moved.moved, [
      { title: 'WHAT', value: ({ kind }) => kind },
      { title: 'BEFORE', value: (one) => one.name },
      { title: 'AFTER', value: ({ becomes }) => becomes },
      { title: 'EFFECT', value: ({ effect }) => effect },
    ]),
  )
  if (dryRun !== true) cli.print({ next: moved.next })
}

function printCluster(
  cli: Cli,
  cluster: ClusterView | CreatedClusterView | ChangedClusterView,
): void {
  if (cli.output !== 'table') {
    cli.print(cluster)
    return
  }
  const ended = 'stops' in cluster ? (cluster.stops ?? []) : []
  const stops = ended.map(({ name, effect }) => `${name}: ${effect}`)
  cli.print({
    name: cluster.name,
    role: cluster.role,
    state: cluster.state,
    place: placeOf(cluster.locality),
    networks: cluster.networks.join(', '),
    controlPlanes: cluster.controlPlaneOrder.map(({ name, reason }) => `${name} (${reason})`),
    ...(stops.length > 0 && { stops }),
    ...('next' in cluster ? { next: cluster.next } : {}),
  })
}
