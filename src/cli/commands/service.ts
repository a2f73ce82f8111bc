import { type Command, InvalidArgumentError } from 'commander'
import {
  type CreatedOfferView,
  type CreatedServiceView,
  type OfferView,
  type ServiceView,
} from '../../catalog/api.ts'
import { type ImportedOfferView } from '../../policy/offers-api.ts'
import { type Cli } from '../cli.ts'
import { path } from '../client.ts'
import { usageFailure } from '../failure.ts'
import { table } from '../output.ts'

interface PortOption {
  readonly name: string
  readonly port: number
  readonly protocol?: string
}

interface ServingOptions {
  readonly port: readonly PortOption[]
  readonly identity: readonly string[]
  readonly of?: string
  readonly dryRun?: boolean
}

/** `service`: the catalogue of a mesh, and what its peers offer. */
export function registerService(program: Command, cli: Cli): void {
  const service = program
    .command('service')
    .description('services of a mesh, and offers of its peers')
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
    .option(
      '--of <relationship>',
      'enter by hand what this peer offers, instead of a service of ours',
    )
    .option('--dry-run', 'show the effect and change nothing')
    .action((name: string, options: ServingOptions) => addService(cli, name, options))
  service
    .command('change')
    .description('change where a service listens or who may serve it')
    .argument('<service>', 'namespace/name')
    .option('--port <name:port>', 'all its ports from now on; repeatable', readPort, [])
    .option(
      '--identity <id>',
      'all identities that may serve it from now on; repeatable',
      collect,
      [],
    )
    .option('--dry-run', 'show the effect and change nothing')
    .action((name: string, options: ServingOptions) => changeService(cli, name, options))
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
    .action(async (name: string) =>
      cli.print(await cli.get<ServiceView>(await targetOf(cli, name))),
    )
  service
    .command('delete')
    .description('delete a service; rules that name it stay and match nothing')
    .argument('<service>', 'namespace/name')
    .option('--of <relationship>', 'an offer of this peer, instead of a service of ours')
    .option('--dry-run', 'show the effect and change nothing')
    .action((name: string, options: ServingOptions) => deleteService(cli, name, options))
}

/** Namespace and name of a service as people write it; throws a usage failure. */
export function readServiceName(text: string): { namespace: string; name: string } {
  const [namespace = '', name = '', ...rest] = text.split('/')
  if (namespace !== '' && name !== '' && rest.length === 0) return { namespace, name }
  throw usageFailure(`"${text}" is no service`, 'write it as namespace/name, for example shop/cart')
}

/** Gathers the values of an option that may be repeated. */
export function collect(value: string, before: readonly string[] = []): string[] {
  return [...before, value]
}

async function addService(cli: Cli, name: string, options: ServingOptions): Promise<void> {
  const { port: ports, identity: identities, of, dryRun } = options
  const mesh = await cli.meshId()
  const target =
    of === undefined
      ? path`/meshes/${mesh}/services`
      : path`/meshes/${mesh}/relationships/${of}/offers`
  const body = { ...readServiceName(name), ports, identities }
  cli.print(
    await cli.post<CreatedServiceView | CreatedOfferView>(target, body, { query: { dryRun } }),
  )
}

async function changeService(cli: Cli, name: string, options: ServingOptions): Promise<void> {
  const { port: ports, identity: identities, dryRun } = options
  if (ports.length + identities.length === 0) {
    throw usageFailure('nothing to change', 'give --port or --identity')
  }
  const body = { ...(ports.length > 0 && { ports }), ...(identities.length > 0 && { identities }) }
  cli.print(await cli.patch<ServiceView>(await targetOf(cli, name), body, { query: { dryRun } }))
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
  cli.printTable(
    table(
      services,
      [
        { title: 'SERVICE', value: titleOf },
        { title: 'PORTS', value: portsOf },
        { title: 'IDENTITIES', value: ({ identities }) => identities },
      ],
      'no services; entente service add NAMESPACE/NAME --port http:8080 --identity PATH',
    ),
  )
}

function offersTable(offers: readonly ImportedOfferView[], of: string) {
  return table(
    offers,
    [
      { title: 'OFFER', value: titleOf },
      { title: 'PORTS', value: portsOf },
      { title: 'IMPORTED', value: ({ imported }) => imported },
      { title: 'HOSTNAME', value: ({ hostname }) => hostname },
      { title: 'WHY', value: ({ reason }) => reason },
    ],
    `nothing of ${of} is on record; entente service add --of ${of} NAMESPACE/NAME --port http:8080 --identity PATH`,
  )
}

async function deleteService(
  cli: Cli,
  name: string,
  { of, dryRun }: ServingOptions,
): Promise<void> {
  if (of === undefined) {
    cli.print(await cli.delete<ServiceView>(await targetOf(cli, name), { query: { dryRun } }))
    return
  }
  const { namespace, name: short } = readServiceName(name)
  const target = path`/meshes/${await cli.meshId()}/relationships/${of}/offers/${namespace}/${short}`
  const { text } = await cli.call('DELETE', target, { query: { dryRun } })
  cli.print(JSON.parse(text) as OfferView)
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

function titleOf({ namespace, name }: Pick<ServiceView, 'namespace' | 'name'>): string {
  return `${namespace}/${name}`
}

function portsOf({ ports }: Pick<ServiceView, 'ports'>): string[] {
  return ports.map(
    ({ name, port, protocol }) => `${name}:${port}${protocol === undefined ? '' : `/${protocol}`}`,
  )
}
