import { type Command, Option } from 'commander'
import { type CreatedGatewayView, type GatewayView } from '../../mesh/topology/api.ts'
import { type Cli } from '../cli.ts'
import { printDocuments } from '../declarative/print.ts'
import { usageFailure } from '../failure.ts'
import { table } from '../output.ts'
import {
  deleteObject,
  type DeleteOptions,
  DRY_RUN,
  heardOf,
  LOCALITY,
  type LocalityOption,
  placeOf,
  readCount,
  readHeartbeat,
  readLocality,
  registerStates,
  topologyPath,
} from './topology-options.ts'

interface GatewayOptions {
  readonly network?: string
  readonly cluster?: string
  readonly address?: string
  readonly port?: number
  readonly locality?: LocalityOption
  readonly sniMode?: string
  readonly weight?: number
  readonly heartbeat?: number | null
  readonly dryRun?: boolean
}

const ADDRESS = ['--address <host>', 'IP address or DNS name that other networks reach'] as const
const PORT = ['--port <port>', 'for example 15443'] as const
const CLUSTER = ['--cluster <cluster>', 'the cluster that runs it'] as const

/** `gateway`: the ways into the networks of a mesh. */
export function registerGateway(program: Command, cli: Cli): void {
  const gateway = program.command('gateway').description('the ways into the networks of a mesh')
  withMore(
    gateway
      .command('create')
      .description('add a gateway: other networks reach its network through it')
      .argument('<name>')
      .requiredOption('--network <network>', 'the network that it leads into')
      .requiredOption(...ADDRESS)
      .requiredOption(...PORT, readCount)
      .option(...CLUSTER),
  ).action((name: string, options: GatewayOptions) => createGateway(cli, name, options))
  gateway
    .command('list')
    .description('list gateways')
    .action(() => listGateways(cli))
  gateway
    .command('show')
    .description('show a gateway')
    .argument('<name>')
    .action((name: string) => showGateway(cli, name))
  withMore(
    gateway
      .command('change')
      .description('change a gateway')
      .argument('<name>')
      .option(...ADDRESS)
      .option(...PORT, readCount)
      .option(CLUSTER[0], `${CLUSTER[1]}; empty for none`),
  ).action((name: string, options: GatewayOptions) => changeGateway(cli, name, options))
  const print = (view: unknown): void => printGateway(cli, view as GatewayView)
  registerStates(gateway, cli, { collection: 'gateways', print })
  gateway
    .command('heartbeat')
    .description('say that a gateway lives, for those that no reporter of a cluster speaks for')
    .argument('<name>')
    .action(async (name: string) => {
      const target = `${await topologyPath(cli, 'gateways', name)}/heartbeat`
      print(await cli.post<GatewayView>(target))
    })
  gateway
    .command('delete')
    .description('delete a gateway')
    .argument('<name>')
    .option('--dry-run', 'list what would lose it and change nothing')
    .action((name: string, options: DeleteOptions) =>
      deleteObject(cli, { collection: 'gateways', name }, options),
    )
}

function withMore(command: Command): Command {
  return command
    .option(LOCALITY[0], `${LOCALITY[1]}; default that of its cluster`, readLocality)
    .addOption(
      new Option('--sni-mode <mode>', 'how callers name the service to it').choices([
        'auto-passthrough',
        'hostname',
      ]),
    )
    .option('--weight <weight>', 'share of calls among the gateways of its network', readCount)
    .option('--heartbeat <seconds>', 'how often it promises to be heard; 0: never', readHeartbeat)
    .option(...DRY_RUN)
}

async function createGateway(cli: Cli, name: string, options: GatewayOptions): Promise<void> {
  const { dryRun, heartbeat: heartbeatSeconds, ...rest } = options
  const target = await topologyPath(cli, 'gateways')
  const body = { name, ...rest, heartbeatSeconds }
  printGateway(cli, await cli.post<CreatedGatewayView>(target, body, { query: { dryRun } }))
}

async function changeGateway(cli: Cli, name: string, options: GatewayOptions): Promise<void> {
  const { dryRun, heartbeat, cluster, ...rest } = options
  const body = {
    ...rest,
    ...(cluster === undefined ? {} : { cluster: cluster === '' ? null : cluster }),
    ...(heartbeat === undefined ? {} : { heartbeatSeconds: heartbeat }),
  }
  if (Object.keys(body).length === 0) {
    throw usageFailure('nothing to change', 'give --address, --port, --weight or another option')
  }
  const target = await topologyPath(cli, 'gateways', name)
  printGateway(cli, await cli.patch<GatewayView>(target, body, { query: { dryRun } }))
}

async function listGateways(cli: Cli): Promise<void> {
  const gateways = await cli.list<GatewayView>(await topologyPath(cli, 'gateways'))
  if (cli.output === 'yaml') return printDocuments(cli, { kind: 'Gateway', views: gateways })
  cli.printTable(
    table(
      gateways,
      [
        { title: 'NAME', value: ({ name }) => name },
        { title: 'NETWORK', value: ({ network }) => network },
        { title: 'ADDRESS', value: addressOf },
        { title: 'CLUSTER', value: ({ cluster }) => cluster },
        { title: 'PLACE', value: ({ locality }) => placeOf(locality) },
        { title: 'WEIGHT', value: ({ weight }) => weight },
        { title: 'STATE', value: ({ state }) => state },
        { title: 'HEARD', value: heardOf },
      ],
      'no gateways: each network can be reached only from within',
    ),
  )
}

async function showGateway(cli: Cli, name: string): Promise<void> {
  const gateway = await cli.get<GatewayView>(await topologyPath(cli, 'gateways', name))
  if (cli.output === 'yaml') return printDocuments(cli, { kind: 'Gateway', views: [gateway] })
  printGateway(cli, gateway)
}

function addressOf({ address, port }: GatewayView): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`
}

function printGateway(cli: Cli, gateway: GatewayView | CreatedGatewayView): void {
  if (cli.output !== 'table') {
    cli.print(gateway)
    return
  }
  cli.print({
    name: gateway.name,
    network: gateway.network,
    address: addressOf(gateway),
    cluster: gateway.cluster,
    place: placeOf(gateway.locality),
    sniMode: gateway.sniMode,
    weight: gateway.weight,
    state: gateway.state,
    heard: heardOf(gateway),
    ...('next' in gateway ? { next: gateway.next } : {}),
  })
}
