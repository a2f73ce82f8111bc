import { type Command, Option } from 'commander'
import { type ReportView } from '../../catalog/report-api.ts'
import { type SyncedView } from '../../catalog/sync-api.ts'
import { systemClock } from '../../clock.ts'
import { type Cli } from '../cli.ts'
import { path } from '../client.ts'
import { usageFailure } from '../failure.ts'
import { type LeftOut, readEndpoints, type ReadEndpoint } from '../kubernetes/endpoints.ts'
import { joinObjects, type KubernetesObjects, readObjects } from '../kubernetes/objects.ts'
import { readServices, type ReadServices } from '../kubernetes/services.ts'
import { readSvidFolder } from '../svid-folder.ts'
import { callWorkloadListener } from '../workload-client.ts'
import { collect } from './service-words.ts'

interface SyncOptions {
  readonly from: string
  readonly file: readonly string[]
  readonly cluster: string
  readonly namespace?: readonly string[]
  readonly endpoints?: boolean
  readonly onlyEndpoints?: boolean
  readonly svid?: string
  readonly address?: string
  readonly network?: string
  readonly ttl?: string
  readonly intentional?: boolean
  readonly dryRun?: boolean
}

/** `service sync`: the catalogue follows what a cluster has. */
export function registerServiceSync(service: Command, cli: Cli): void {
  service
    .command('sync')
    .description('let the catalogue follow the services that a cluster has')
    .addOption(
      new Option('--from <system>', 'what the file was read from')
        .choices(['k8s'])
        .makeOptionMandatory(),
    )
    .requiredOption(
      '-f, --file <file>',
      'what kubectl get … -o json printed, or - for stdin; repeatable',
      collect,
    )
    .requiredOption('--cluster <cluster>', 'the cluster that it was read from')
    .option('--namespace <namespace>', 'only this namespace; repeatable', collect)
    .option('--endpoints', 'also report the endpoints, with the SVID of a reporter')
    .option('--only-endpoints', 'report the endpoints and leave the catalogue as it is')
    .option('--svid <folder>', 'the SVID of a reporter, as entente svid fetch wrote it')
    .option('--address <host:port>', 'the workload listener; default as in the folder')
    .option('--network <network>', 'the network of the endpoints, where the cluster is in several')
    .option('--ttl <seconds>', 'how long endpoints count without another report; default 90')
    .option('--intentional', 'also when less than half of what was there is left')
    .option('--dry-run', 'show the effect and change nothing')
    .addHelpText(
      'after',
      `
Services that people entered are left alone. Who may serve a service are the service accounts of its pods, as
/ns/NAMESPACE/sa/ACCOUNT in the primary trust domain of the mesh.

Example:
  kubectl get services,endpointslices,pods,nodes --all-namespaces -o json |
    entente service sync --from k8s -f - --cluster east --endpoints --svid svid`,
    )
    .action((options: SyncOptions) => syncServices(cli, options))
}

async function syncServices(cli: Cli, options: SyncOptions): Promise<void> {
  const withEndpoints = options.endpoints === true || options.onlyEndpoints === true
  if (withEndpoints !== (options.svid !== undefined)) {
    throw usageFailure('--endpoints and --svid belong together', 'entente service sync --help')
  }
  const ttlSeconds = secondsOf(options.ttl)
  const objects = await readFiles(cli, options.file)
  const namespaces = options.namespace === undefined ? undefined : new Set(options.namespace)
  const read = readServices(objects, namespaces)
  const services = new Set(
    [...read.services, ...read.kept].map(({ namespace, name }) => `${namespace}/${name}`),
  )
  const { network } = options
  const { endpoints, leftOut } = withEndpoints
    ? readEndpoints(objects, { namespaces, services, network })
    : { endpoints: [], leftOut: [] }
  tellPassedOver(cli, read)
  tellLeftOut(cli, leftOut)
  const catalogue = options.onlyEndpoints === true ? undefined : await put(cli, options, read)
  const reported = withEndpoints ? await report(cli, { options, endpoints, ttlSeconds }) : undefined
  show(cli, { catalogue, reported, read, leftOut, options })
}

async function readFiles(cli: Cli, files: readonly string[]): Promise<KubernetesObjects> {
  const all: KubernetesObjects[] = []
  for (const file of files) all.push(readObjects(await cli.readInput(file), file))
  return joinObjects(all)
}

async function put(cli: Cli, options: SyncOptions, read: ReadServices): Promise<SyncedView> {
  const { cluster, namespace: namespaces, intentional, dryRun } = options
  const { services, kept } = read
  const body = { source: 'k8s', services, kept, namespaces, intentional }
  const target = path`/meshes/${await cli.meshId()}/clusters/${cluster}/services`
  return cli.put<SyncedView>(target, body, { query: { dryRun } })
}

interface Reporting {
  readonly options: SyncOptions
  readonly endpoints: readonly ReadEndpoint[]
  readonly ttlSeconds: number | undefined
}

/** The answer of the workload listener; in a dry run how many would be reported. */
async function report(
  cli: Cli,
  { options, endpoints, ttlSeconds }: Reporting,
): Promise<ReportView | number> {
  const folder = await readSvidFolder(options.svid ?? '')
  if (options.dryRun === true) return endpoints.length
  const { cluster, intentional } = options
  const { text } = await callWorkloadListener({
    address: options.address ?? folder.state.address,
    trustDomain: folder.state.trustDomain,
    anchors: () => folder.bundle.x509Authorities.map(({ certificate }) => certificate),
    identity: { cert: folder.cert, key: folder.key },
    method: 'PUT',
    path: '/v1/reports/endpoints',
    body: { cluster, endpoints, ttlSeconds, intentional },
    now: systemClock.now(),
  })
  const answer = JSON.parse(text) as ReportView
  const [skipped] = answer.skipped
  if (skipped !== undefined) {
    cli.warn(`${answer.skippedCount} endpoints were passed over; the first: ${skipped.reason}`)
  }
  return answer
}

/** Reasons that are told one by one. */
const MOST_TOLD = 50

function tellPassedOver(cli: Cli, { passedOver, kept }: ReadServices): void {
  for (const { service, reason } of passedOver.slice(0, MOST_TOLD)) {
    cli.note(`passed over ${service}: ${reason}`)
  }
  if (passedOver.length > MOST_TOLD) cli.note(`and ${passedOver.length - MOST_TOLD} more`)
  for (const { namespace, name } of kept.slice(0, MOST_TOLD)) {
    cli.note(`left as it is ${namespace}/${name}: no pod is behind it now`)
  }
}

function tellLeftOut(cli: Cli, leftOut: readonly LeftOut[]): void {
  for (const { service, address, reason } of leftOut.slice(0, MOST_TOLD)) {
    const place = address === '' ? '' : ` at ${address}`
    cli.note(`endpoint of ${service}${place} left out: ${reason}`)
  }
  if (leftOut.length > MOST_TOLD) cli.note(`and ${leftOut.length - MOST_TOLD} more left out`)
}

interface Shown {
  readonly catalogue: SyncedView | undefined
  readonly reported: ReportView | number | undefined
  readonly read: ReadServices
  readonly leftOut: readonly LeftOut[]
  readonly options: SyncOptions
}

function show(cli: Cli, { catalogue, reported, read, leftOut, options }: Shown): void {
  const endpoints = typeof reported === 'number' ? { endpoints: reported } : reported
  if (cli.output !== 'table') {
    cli.print({ catalogue, report: endpoints, passedOver: read.passedOver, leftOut })
    return
  }
  const would = options.dryRun === true ? 'would be ' : ''
  if (catalogue !== undefined) sayCatalogue(cli, catalogue, would)
  if (endpoints === undefined) return
  const revision = 'revision' in endpoints ? ` (report ${endpoints.revision})` : ''
  const noun = endpoints.endpoints === 1 ? 'endpoint' : 'endpoints'
  const without = leftOut.length === 0 ? '' : `, ${leftOut.length} left out`
  cli.say(`${endpoints.endpoints} ${noun} ${would}reported${revision}${without}`)
}

function sayCatalogue(cli: Cli, view: SyncedView, would: string): void {
  const lines: [string, readonly string[], number][] = [
    ['made', view.created, view.createdCount],
    ['changed', view.updated, view.updatedCount],
    ['deleted', view.deleted, view.deletedCount],
  ]
  for (const [verb, titles, count] of lines) {
    for (const title of titles) cli.say(`${title} ${would}${verb}`)
    if (count > titles.length) cli.say(`and ${count - titles.length} more ${would}${verb}`)
  }
  for (const title of view.keptByPeople) cli.say(`${title} left alone: people entered it`)
  const [made, changed, deleted] = lines.map(([, , count]) => count)
  cli.say(
    `${made} ${would}made, ${changed} changed, ${deleted} deleted, ${view.unchangedCount} as before`,
  )
}

function secondsOf(text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  if (/^[1-9][0-9]{0,5}$/.test(text)) return Number(text)
  throw usageFailure(`--ttl ${text} is no whole number of seconds`)
}
