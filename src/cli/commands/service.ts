import { type Command, InvalidArgumentError } from 'commander'
import {
  type CreatedOfferView,
  type CreatedServiceView,
  type OfferView,
  type ServiceView,
} from '../../catalog/api.ts'
import { type ImportedOfferView } from '../../policy/binding/offers-api.ts'
import { type Cli } from '../cli.ts'
import { path } from '../client.ts'
import { printDocuments } from '../declarative/print.ts'
import { usageFailure } from '../failure.ts'
import { table } from '../output.ts'
import { readLabel } from './federation-owner.ts'
import { registerServiceEndpoints } from './service-endpoints.ts'
import { registerServiceSync } from './service-sync.ts'
import { collect, readServiceName } from './service-words.ts'

interface PortOption {
  readonly name: string
  readonly port: number
  readonly protocol?: string
}

interface GatewayOption {
  readonly address: string
  readonly port: number
  readonly region?: string
  readonly zone?: string
}

interface ServingOptions {
  readonly port: readonly PortOption[]
  readonly identity: readonly string[]
  readonly label?: ReadonlyMap<string, string | null>
  readonly gateway?: readonly GatewayOption[]
  readonly of?: string
  readonly dryRun?: boolean
}

/** `service`: the catalogue of a mesh, and what its peers offer. */
export function registerService(program: Command, cli: Cli): void {
  const service = program
    .command('service')
    .description('services of a mesh, and offers of its peers')
  registerWriting(service, cli)
  registerServiceSync(service, cli)
  registerServiceEndpoints(service, cli)
  service
    .command('list')
    .description('list services, or what a peer offers and what of it we import')
    .option('--namespace <namespace>', 'only this namespace of ours')
    .option('--of <relationship>', "this peer's offers")
    .action((options: { namespace?: string; of?: string }) => listServices(cli, options))
  service
    .command('show')
    .description('show a service')
    .argument('<service>', 'namespace/name')
    .action(async (name: string) => {
      const view = await cli.get<ServiceView>(await targetOf(cli, name))
      if (cli.output === 'yaml') await printDocuments(cli, { kind: 'Service', views: [view] })
      else printServing(cli, view)
    })
  service
    .command('delete')
    .description('delete a service; rules that name it stay and match nothing')
    .argument('<service>', 'namespace/name')
    .option('--of <relationship>', 'an offer of this peer, instead of a service of ours')
    .option('--dry-run', 'show the effect and change nothing')
    .action((name: string, options: ServingOptions) => deleteService(cli, name, options))
}

function registerWriting(service: Command, cli: Cli): void {
  service
    .command('add')
    .description('add a service to the catalogue; rules decide who sees it')
    .argument('<service>', 'namespace/name')
    .requiredOption(
      '--port <name:port>',
      'where it listens, as http:8080 or http:8080/http2; repeatable',
      readPort,
    )
    .requiredOption('--identity <id>', 'SPIFFE ID or path that may serve it; repeatable', collect)
    .option('--label <key=value>', 'a label, by which rules may choose; repeatable', readLabel)
    .option(
      '--of <relationship>',
      'enter by hand what this peer offers, instead of a service of ours',
    )
    .option(
      '--gateway <host:port>',
      "with --of: where the peer's mesh takes calls, as gw.example:15443@REGION/ZONE; repeatable",
      readGateway,
    )
    .option('--dry-run', 'show the effect and change nothing')
    .action((name: string, options: ServingOptions) => addService(cli, name, options))
  service
    .command('change')
    .description('change where a service listens, its labels, or who may serve it')
    .argument('<service>', 'namespace/name')
    .option('--port <name:port>', 'all its ports from now on; repeatable', readPort, [])
    .option(
      '--identity <id>',
      'all identities that may serve it from now on; repeatable',
      collect,
      [],
    )
    .option('--label <key=value>', 'may be repeated; key- takes one away', readLabel)
    .option('--dry-run', 'show the effect and change nothing')
    .action((name: string, options: ServingOptions) => changeService(cli, name, options))
}

async function addService(cli: Cli, name: string, options: ServingOptions): Promise<void> {
  const { port: ports, identity: identities, of, gateway: gateways, dryRun } = options
  if (of === undefined && gateways !== undefined) {
    throw usageFailure('--gateway goes with --of', 'entente gateway --help   # gateways of ours')
  }
  const mesh = await cli.meshId()
  const target =
    of === undefined
      ? path`/meshes/${mesh}/services`
      : path`/meshes/${mesh}/relationships/${of}/offers`
  const body = { ...readServiceName(name), ports, identities, labels: labelsOf(options), gateways }
  printServing(
    cli,
    await cli.post<CreatedServiceView | CreatedOfferView>(target, body, { query: { dryRun } }),
  )
}

async function changeService(cli: Cli, name: string, options: ServingOptions): Promise<void> {
  const { port: ports, identity: identities, dryRun } = options
  const labels = labelsOf(options)
  if (ports.length + identities.length === 0 && labels === undefined) {
    throw usageFailure('nothing to change', 'give --port, --identity or --label')
  }
  const body = {
    ...(ports.length > 0 && { ports }),
    ...(identities.length > 0 && { identities }),
    labels,
  }
  const target = await targetOf(cli, name)
  printServing(cli, await cli.patch<ServiceView>(target, body, { query: { dryRun } }))
}

async function listServices(
  cli: Cli,
  { namespace, of }: { readonly namespace?: string; readonly of?: string },
): Promise<void> {
  const mesh = await cli.meshId()
  if (of !== undefined) {
    const offers = await cli.list<ImportedOfferView>(
      path`/meshes/${mesh}/relationships/${of}/offers`,
    )
    cli.printTable(offersTable(offers, of))
    return
  }
  const services = await cli.list<ServiceView>(path`/meshes/${mesh}/services`, { namespace })
  if (cli.output === 'yaml') return printDocuments(cli, { kind: 'Service', views: services })
  cli.printTable(
    table(
      services,
      [
        { title: 'SERVICE', value: titleOf },
        { title: 'PORTS', value: portsOf },
        { title: 'IDENTITIES', value: ({ identities }) => identities },
      ],
      ['no services', 'entente service add NAMESPACE/NAME --port http:8080 --identity PATH'],
    ),
  )
}

function offersTable(offers: readonly ImportedOfferView[], of: string) {
  return table(
    offers,
    [
      { title: 'OFFER', value: titleOf },
      { title: 'PORTS', value: portsOf },
      { title: 'STATE', value: ({ state }) => state },
      { title: 'HOSTNAME', value: ({ hostname }) => hostname },
      { title: 'WHY', value: ({ reason }) => reason },
    ],
    [
      `nothing of ${of} is on record`,
      `entente service add --of ${of} NAMESPACE/NAME --port http:8080 --identity PATH`,
    ],
  )
}

async function deleteService(
  cli: Cli,
  name: string,
  { of, dryRun }: ServingOptions,
): Promise<void> {
  if (of === undefined) {
    const target = await targetOf(cli, name)
    printDeleted(cli, name, {
      view: await cli.delete<ServiceView>(target, { query: { dryRun } }),
      dryRun,
    })
    return
  }
  const { namespace, name: short } = readServiceName(name)
  const target = path`/meshes/${await cli.meshId()}/relationships/${of}/offers/${namespace}/${short}`
  const { text } = await cli.call('DELETE', target, { query: { dryRun } })
  printDeleted(cli, `${name} of ${of}`, { view: JSON.parse(text) as OfferView, dryRun })
}

interface Deleted {
  readonly view: ServiceView | OfferView
  readonly dryRun: boolean | undefined
}

function printDeleted(cli: Cli, title: string, { view, dryRun }: Deleted): void {
  if (cli.output !== 'table') return cli.print(view)
  cli.say(`${title} ${dryRun === true ? 'would be' : 'is'} deleted; rules that name it stay`)
}

async function targetOf(cli: Cli, service: string): Promise<string> {
  const { namespace, name } = readServiceName(service)
  return path`/meshes/${await cli.meshId()}/services/${namespace}/${name}`
}

function readPort(value: string, before: readonly PortOption[] = []): PortOption[] {
  const [, name = '', port = '', protocol] =
    /^([a-z0-9-]+):(\d{1,5})(?:\/([a-z0-9]+))?$/.exec(value) ?? []
  if (name === '') throw new InvalidArgumentError('write NAME:PORT, for example http:8080')
  return [...before, { name, port: Number(port), ...(protocol !== undefined && { protocol }) }]
}

function labelsOf({ label }: ServingOptions): Record<string, string | null> | undefined {
  return label === undefined ? undefined : Object.fromEntries(label)
}

function readGateway(value: string, before: readonly GatewayOption[] = []): GatewayOption[] {
  const [, host = '', port = '', region, zone] =
    /^(\[[0-9a-fA-F:.]+\]|[^:@/]+):(\d{1,5})(?:@([^/]+)(?:\/(.+))?)?$/.exec(value) ?? []
  if (host === '') throw new InvalidArgumentError('write HOST:PORT, or HOST:PORT@REGION/ZONE')
  const address = host.replace(/^\[|\]$/g, '')
  const place = { ...(region !== undefined && { region }), ...(zone !== undefined && { zone }) }
  return [...before, { address, port: Number(port), ...place }]
}

function titleOf({ namespace, name }: Pick<ServiceView, 'namespace' | 'name'>): string {
  return `${namespace}/${name}`
}

/** A service or an offer; on a terminal with its ports, labels and gateways as the options write them. */
function printServing(cli: Cli, view: ServiceView | OfferView): void {
  if (cli.output !== 'table') return cli.print(view)
  const labels = Object.entries(view.labels).map(([key, value]) => `${key}=${value}`)
  const shown = { ...view, ports: portsOf(view), labels }
  cli.print('gateways' in view ? { ...shown, gateways: view.gateways.map(gatewayText) } : shown)
}

function gatewayText({ address, port, region, zone }: OfferView['gateways'][number]): string {
  const host = address.includes(':') ? `[${address}]` : address
  const place = [region, zone].filter((part) => typeof part === 'string' && part !== '').join('/')
  return `${host}:${port}${place === '' ? '' : `@${place}`}`
}

function portsOf({ ports }: Pick<ServiceView, 'ports'>): string[] {
  return ports.map(
    ({ name, port, protocol }) => `${name}:${port}${protocol === undefined ? '' : `/${protocol}`}`,
  )
}
