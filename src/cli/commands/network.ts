import { type Command, Option } from 'commander'
import { type CreatedNetworkView, type NetworkView } from '../../mesh/topology/api.ts'
import { type Cli } from '../cli.ts'
import { printDocuments } from '../declarative/print.ts'
import { table } from '../output.ts'
import { deleteObject, type DeleteOptions, DRY_RUN, topologyPath } from './topology-options.ts'

interface NetworkOptions {
  readonly direct?: 'yes' | 'no'
  readonly dryRun?: boolean
}

const DIRECT_HELP = 'whether clusters in it use its addresses; no: only its gateways'

/** `network`: the networks of a mesh. */
export function registerNetwork(program: Command, cli: Cli): void {
  const network = program.command('network').description('the networks of a mesh')
  network
    .command('create')
    .description('add a network')
    .argument('<name>')
    .addOption(direct())
    .option(...DRY_RUN)
    .action((name: string, options: NetworkOptions) => createNetwork(cli, name, options))
  network
    .command('list')
    .description('list networks')
    .action(() => listNetworks(cli))
  network
    .command('show')
    .description('show a network')
    .argument('<name>')
    .action((name: string) => showNetwork(cli, name))
  network
    .command('change')
    .description('change whether its addresses are used directly')
    .argument('<name>')
    .addOption(direct().makeOptionMandatory())
    .option(...DRY_RUN)
    .action((name: string, options: NetworkOptions) => changeNetwork(cli, name, options))
  registerSharing(network, cli)
  network
    .command('delete')
    .description('delete a network with its gateways')
    .argument('<name>')
    .option('--force', 'although something is in it')
    .option('--dry-run', 'list what would end and change nothing')
    .action((name: string, options: DeleteOptions) =>
      deleteObject(cli, { collection: 'networks', name }, options),
    )
}

function registerSharing(network: Command, cli: Cli): void {
  network
    .command('share')
    .description('say that other meshes are in this network too, for platform-admins')
    .argument('<name>')
    .requiredOption('--as <shared>', 'the shared name, the same in each of the meshes')
    .option(...DRY_RUN)
    .action((name: string, { as, dryRun }: { as: string; dryRun?: boolean }) =>
      shareNetwork(cli, name, { sharedName: as, dryRun }),
    )
  network
    .command('unshare')
    .description('say that no other mesh is in this network')
    .argument('<name>')
    .option(...DRY_RUN)
    .action((name: string, { dryRun }: { dryRun?: boolean }) =>
      shareNetwork(cli, name, { sharedName: null, dryRun }),
    )
}

function direct(): Option {
  return new Option('--direct <yes|no>', DIRECT_HELP).choices(['yes', 'no'])
}

function bodyOf(option: NetworkOptions['direct']): { directlyReachable?: boolean } {
  return option === undefined ? {} : { directlyReachable: option === 'yes' }
}

async function createNetwork(cli: Cli, name: string, options: NetworkOptions): Promise<void> {
  const { dryRun } = options
  const target = await topologyPath(cli, 'networks')
  const body = { name, ...bodyOf(options.direct) }
  printNetwork(cli, await cli.post<CreatedNetworkView>(target, body, { query: { dryRun } }))
}

async function changeNetwork(cli: Cli, name: string, options: NetworkOptions): Promise<void> {
  const { dryRun } = options
  const target = await topologyPath(cli, 'networks', name)
  const body = bodyOf(options.direct)
  printNetwork(cli, await cli.patch<NetworkView>(target, body, { query: { dryRun } }))
}

async function shareNetwork(
  cli: Cli,
  name: string,
  {
    sharedName,
    dryRun,
  }: { readonly sharedName: string | null; readonly dryRun?: boolean | undefined },
): Promise<void> {
  const target = `${await topologyPath(cli, 'networks', name)}/shared-name`
  printNetwork(cli, await cli.put<NetworkView>(target, { sharedName }, { query: { dryRun } }))
}

async function listNetworks(cli: Cli): Promise<void> {
  const networks = await cli.list<NetworkView>(await topologyPath(cli, 'networks'))
  if (cli.output === 'yaml') return printDocuments(cli, { kind: 'Network', views: networks })
  cli.printTable(
    table(
      networks,
      [
        { title: 'NAME', value: ({ name }) => name },
        { title: 'DIRECT', value: ({ directlyReachable }) => (directlyReachable ? 'yes' : 'no') },
        { title: 'SHARED AS', value: ({ sharedName }) => sharedName },
      ],
      'no networks',
    ),
  )
}

async function showNetwork(cli: Cli, name: string): Promise<void> {
  const network = await cli.get<NetworkView>(await topologyPath(cli, 'networks', name))
  if (cli.output === 'yaml') return printDocuments(cli, { kind: 'Network', views: [network] })
  printNetwork(cli, network)
}

function printNetwork(cli: Cli, network: NetworkView | CreatedNetworkView): void {
  if (cli.output !== 'table') {
    cli.print(network)
    return
  }
  cli.print({
    name: network.name,
    direct: network.directlyReachable ? 'yes' : 'no',
    sharedAs: network.sharedName,
    ...('next' in network ? { next: network.next } : {}),
  })
}
