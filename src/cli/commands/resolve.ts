import { type Command } from 'commander'
import { type ResolveView, type RouteView } from '../../policy/resolve/resolve-api.ts'
import { type Cli } from '../cli.ts'
import { path } from '../client.ts'
import { usageFailure } from '../failure.ts'
import { formatNext } from '../output.ts'

interface ResolveOptions {
  readonly fromNetwork?: string
  readonly fromCluster?: string
  readonly namespace?: string
  readonly caller?: string
  readonly region?: string
  readonly zone?: string
  readonly of?: string
  readonly port?: string
}

/** `resolve`: how a service is reached from a network. */
export function registerResolve(program: Command, cli: Cli): void {
  program
    .command('resolve')
    .description('how a service is reached from a network: addresses, gateways, or why not')
    .argument('<service>', 'namespace/name')
    .option('--from-network <network>', 'the network of who asks')
    .option('--from-cluster <cluster>', 'the cluster of who asks; its only network counts')
    .option('--of <relationship>', "the service is this peer's; default ours")
    .option('--port <port>', 'name or number of one port; default all')
    .option('--caller <id>', 'SPIFFE ID: may it call, instead of may anybody see')
    .option('--namespace <namespace>', "the namespace of who asks; default the caller's")
    .option('--region <region>', "where who asks is; default the cluster's")
    .option('--zone <zone>', 'the zone in that region')
    .addHelpText(
      'after',
      `
Without --from-network and --from-cluster the only network of the mesh counts.

Examples:
  entente resolve shop/cart --from-cluster east
  entente resolve shop/cart --from-network vpc-b --port http
  entente resolve market/quotes --of globex --from-network vpc-a`,
    )
    .action((service: string, options: ResolveOptions) => resolve(cli, service, options))
}

async function resolve(cli: Cli, service: string, options: ResolveOptions): Promise<void> {
  const { fromNetwork: network, fromCluster: cluster, ...rest } = options
  if (options.zone !== undefined && options.region === undefined) {
    throw usageFailure('--zone needs --region', 'add --region REGION')
  }
  const query = { service, network, cluster, ...rest }
  const answer = await cli.get<ResolveView>(path`/meshes/${await cli.meshId()}/resolve`, { query })
  if (cli.output === 'table') cli.say(sayAnswer(answer))
  else cli.print(answer)
}

function sayAnswer(answer: ResolveView): string {
  const { route, next } = answer
  if (route === null) {
    const reasons = answer.steps
      .filter(({ outcome }) => outcome === 'deny')
      .map(({ reason }) => `  ✗ ${reason}`)
    const remedy = next.length === 0 ? [] : [formatNext(next).replace('next:', 'to allow it:')]
    const lines = [`${titleOf(answer)} is not for ${whoOf(answer)}`, ...reasons, ...remedy]
    return lines.join('\n').trimEnd()
  }
  if (route.noRoute !== null) {
    const said = [`no route to ${titleOf(answer)} ${fromOf(answer)}`, `  ✗ ${route.noRoute}`]
    return [...said, formatNext(next)].join('\n').trimEnd()
  }
  return [
    `${titleOf(answer)} ${fromOf(answer)}${openHalf(answer)}`,
    ...route.groups.flatMap(sayGroup),
    ...route.unreached.map(
      ({ reason, endpoints }) =>
        `not reached: ${endpoints} endpoint${endpoints === 1 ? '' : 's'} (${reason})`,
    ),
    ...(route.hostname === null ? [] : [`as ${route.hostname}`]),
    `served by ${route.serverIds.join(', ')}`,
    formatNext(next),
  ]
    .join('\n')
    .trimEnd()
}

type Group = RouteView['groups'][number]
type Target = Group['targets'][number]

function sayGroup({ tier, why, targets, truncated }: Group): string[] {
  const cells = targets.map((target) => [
    placeOf(target),
    target.portName,
    `weight ${target.weight}`,
    viaOf(target),
  ])
  const widths = [0, 1, 2].map((column) =>
    Math.max(...cells.map((row) => row[column]?.length ?? 0)),
  )
  const rows = cells.map((row) =>
    `  ${row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  ')}`.trimEnd(),
  )
  return [`${tier}. ${why}`, ...rows, ...(truncated ? ['  … and more'] : [])]
}

function placeOf({ address, port }: Target): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`
}

function viaOf({ viaGateway, network, cluster, sni }: Target): string {
  if (viaGateway === null) return `in cluster ${cluster}`
  const whose = network === null ? "the peer's gateway" : `gateway ${viaGateway} of ${network}`
  return `${whose}, SNI ${sni}`
}

function titleOf({ service, of }: ResolveView): string {
  return of === null ? service : `${service} of ${of}`
}

function whoOf({ consumer }: ResolveView): string {
  if (consumer.caller !== null) return consumer.caller
  return consumer.namespace === null ? 'this mesh' : `namespace ${consumer.namespace}`
}

function fromOf({ consumer }: ResolveView): string {
  const { network, cluster } = consumer
  return cluster === null
    ? `from network ${network}`
    : `from cluster ${cluster} in network ${network}`
}

function openHalf({ undecided }: ResolveView): string {
  return undecided.length === 0 ? '' : `, if ${undecided.join(' and ')} allows its half`
}
