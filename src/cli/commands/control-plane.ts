import { type Command, Option } from 'commander'
import { type ControlPlaneView, type CreatedControlPlaneView } from '../../mesh/topology/api.ts'
import { type Cli } from '../cli.ts'
import { printDocuments } from '../declarative/print.ts'
import { usageFailure } from '../failure.ts'
import { table } from '../output.ts'
import {
  deleteObject,
  type DeleteOptions,
  DRY_RUN,
  heardOf,
  type LocalityOption,
  placeOf,
  readHeartbeat,
  readLocality,
  registerStates,
  topologyPath,
} from './topology-options.ts'

interface ControlPlaneOptions {
  readonly type?: string
  readonly cluster?: string
  readonly address?: string
  readonly locality?: LocalityOption
  readonly heartbeat?: number | null
  readonly dryRun?: boolean
}

/** `control-plane`: the control planes of a mesh. */
export function registerControlPlane(program: Command, cli: Cli): void {
  const plane = program.command('control-plane').description('the control planes of a mesh')
  withMore(
    plane
      .command('create')
      .description('add a control plane; clusters use it once they rank it')
      .argument('<name>')
      .addOption(
        new Option('--type <type>', 'primary: in a cluster of the mesh; external, managed: in none')
          .choices(['primary', 'external', 'managed'])
          .makeOptionMandatory(),
      )
      .option('--cluster <cluster>', 'the primary cluster that a primary one runs in'),
  ).action((name: string, options: ControlPlaneOptions) => createPlane(cli, name, options))
  plane
    .command('list')
    .description('list control planes')
    .action(() => listPlanes(cli))
  plane
    .command('show')
    .description('show a control plane')
    .argument('<name>')
    .action((name: string) => showPlane(cli, name))
  withMore(plane.command('change').description('change a control plane').argument('<name>')).action(
    (name: string, options: ControlPlaneOptions) => changePlane(cli, name, options),
  )
  const print = (view: unknown): void => printPlane(cli, view as ControlPlaneView)
  registerStates(plane, cli, { collection: 'control-planes', print })
  plane
    .command('heartbeat')
    .description('say that a control plane lives, for those in no cluster of the mesh')
    .argument('<name>')
    .action(async (name: string) => {
      const target = `${await topologyPath(cli, 'control-planes', name)}/heartbeat`
      print(await cli.post<ControlPlaneView>(target))
    })
  plane
    .command('delete')
    .description('delete a control plane')
    .argument('<name>')
    .option('--force', 'although clusters use it')
    .option('--dry-run', 'list what would lose it and change nothing')
    .action((name: string, options: DeleteOptions) =>
      deleteObject(cli, { collection: 'control-planes', name }, options),
    )
}

function withMore(command: Command): Command {
  return command
    .option('--address <host[:port]>', 'where proxies reach it')
    .option('--locality <region/zone>', 'where it is; default that of its cluster', readLocality)
    .option('--heartbeat <seconds>', 'how often it promises to be heard; 0: never', readHeartbeat)
    .option(...DRY_RUN)
}

function bodyOf({ heartbeat, address, ...rest }: Omit<ControlPlaneOptions, 'dryRun'>): object {
  return {
    ...rest,
    ...(address === undefined ? {} : { address: address === '' ? null : address }),
    ...(heartbeat === undefined ? {} : { heartbeatSeconds: heartbeat }),
  }
}

async function createPlane(cli: Cli, name: string, options: ControlPlaneOptions): Promise<void> {
  const { dryRun, ...rest } = options
  const target = await topologyPath(cli, 'control-planes')
  const body = { name, ...bodyOf(rest) }
  printPlane(cli, await cli.post<CreatedControlPlaneView>(target, body, { query: { dryRun } }))
}

async function changePlane(cli: Cli, name: string, options: ControlPlaneOptions): Promise<void> {
  const { dryRun, ...rest } = options
  const body = bodyOf(rest)
  if (Object.keys(body).length === 0) {
    throw usageFailure('nothing to change', 'give --address, --locality or --heartbeat')
  }
  const target = await topologyPath(cli, 'control-planes', name)
  printPlane(cli, await cli.patch<ControlPlaneView>(target, body, { query: { dryRun } }))
}

async function listPlanes(cli: Cli): Promise<void> {
  const planes = await cli.list<ControlPlaneView>(await topologyPath(cli, 'control-planes'))
  if (cli.output === 'yaml') return printDocuments(cli, { kind: 'ControlPlane', views: planes })
  cli.printTable(
    table(
      planes,
      [
        { title: 'NAME', value: ({ name }) => name },
        { title: 'TYPE', value: ({ type }) => type },
        { title: 'CLUSTER', value: ({ cluster }) => cluster },
        { title: 'ADDRESS', value: ({ address }) => address },
        { title: 'PLACE', value: ({ locality }) => placeOf(locality) },
        { title: 'STATE', value: ({ state }) => state },
        { title: 'HEARD', value: heardOf },
      ],
      'no control planes',
    ),
  )
}

async function showPlane(cli: Cli, name: string): Promise<void> {
  const plane = await cli.get<ControlPlaneView>(await topologyPath(cli, 'control-planes', name))
  if (cli.output === 'yaml') return printDocuments(cli, { kind: 'ControlPlane', views: [plane] })
  printPlane(cli, plane)
}

function printPlane(cli: Cli, plane: ControlPlaneView | CreatedControlPlaneView): void {
  if (cli.output !== 'table') {
    cli.print(plane)
    return
  }
  cli.print({
    name: plane.name,
    type: plane.type,
    cluster: plane.cluster,
    address: plane.address,
    place: placeOf(plane.locality),
    state: plane.state,
    heard: heardOf(plane),
    ...('next' in plane ? { next: plane.next } : {}),
  })
}
