import { type FieldError, quoted, ServiceError } from '../errors.ts'
import { addressFault } from '../http/host-address.ts'
import { type Service, serviceTitle } from './service.ts'

/** Most endpoints of one reporter. */
export const MAX_ENDPOINTS = 10_000
/** Seconds that endpoints count after their reporter was last heard, unless it says otherwise. */
export const DEFAULT_TTL_SECONDS = 90
/** Shortest and longest such time: below it a heartbeat late by a moment would empty a cluster. */
export const TTL_SECONDS = { least: 10, most: 3600 } as const
/** Longest name of a workload. */
export const MAX_WORKLOAD_UID = 128
/** Reasons that an answer lists; the rest is only counted. */
const MOST_NAMED = 100

/** An endpoint as its reporter has it. */
export interface EndpointDraft {
  readonly namespace: string
  readonly service: string
  readonly workloadUid: string
  readonly port: number
  readonly portName: string
  readonly network: string
  readonly address: string
  readonly region?: string | undefined
  readonly zone?: string | undefined
  readonly subzone?: string | undefined
  readonly weight: number
  readonly isHealthy: boolean
}

/** An endpoint as a report says it. */
export interface ReportItem {
  readonly namespace: string
  readonly service: string
  readonly workloadUid: string
  readonly address: string
  readonly port: number
  /** Needed where the service has several ports. */
  readonly portName?: string
  /** Needed where the cluster is in several networks. */
  readonly network?: string
  readonly region?: string
  readonly zone?: string
  readonly subzone?: string
  readonly weight?: number
  readonly healthy?: boolean
}

/** What a report is judged by. */
export interface ReportScene {
  readonly cluster: string
  /** Networks of the cluster. */
  readonly networks: readonly string[]
  /** Services of the mesh that the report names, by title. */
  readonly services: ReadonlyMap<string, Pick<Service, 'ports'>>
}

/** An endpoint that was passed over, and why. */
export interface Skipped {
  readonly namespace: string
  readonly service: string
  readonly workloadUid: string
  readonly reason: string
}

/** A report that was read. */
export interface ReadReport {
  readonly endpoints: readonly EndpointDraft[]
  readonly skipped: readonly Skipped[]
}

/** What names an endpoint among those of its reporter; never its address. */
export function endpointKey(
  one: Pick<EndpointDraft, 'namespace' | 'service' | 'workloadUid' | 'port'>,
): string {
  return `${one.namespace}/${one.service}/${one.port}/${one.workloadUid}`
}

/**
 * The endpoints that a report means.
 *
 * Those of a service or port that the catalogue does not have are passed over and named; a report with anything
 * malformed in it is refused whole with REPORT_INVALID and a field error each, at most a hundred.
 */
export function readReport(items: readonly ReportItem[], scene: ReportScene): ReadReport {
  const faults: FieldError[] = []
  const endpoints: EndpointDraft[] = []
  const skipped: Skipped[] = []
  const seen = new Set<string>()
  for (const [index, item] of items.entries()) {
    const found = faultOf(item, scene) ?? repeated(item, seen)
    if (found !== undefined) {
      faults.push({ in: 'body', pointer: `/endpoints/${index}${found.at}`, detail: found.detail })
      if (faults.length === MOST_NAMED) break
      continue
    }
    const read = endpointOf(item, scene)
    if (typeof read === 'string') skipped.push(skippedOf(item, read))
    else endpoints.push(read)
  }
  const [first] = faults
  if (first === undefined) return { endpoints, skipped }
  throw new ServiceError('REPORT_INVALID', `report refused: ${first.pointer} ${first.detail}`, {
    fields: faults,
    next: 'correct it and send it again; nothing of it was taken',
  })
}

/** Of a long list the first ones that were passed over, for an answer. */
export function namedOf(skipped: readonly Skipped[]): readonly Skipped[] {
  return skipped.slice(0, MOST_NAMED)
}

interface Fault {
  readonly at: string
  readonly detail: string
}

function faultOf(item: ReportItem, { cluster, networks }: ReportScene): Fault | undefined {
  const wrong = addressFault(item.address)
  if (wrong !== undefined) return { at: '/address', detail: wrong }
  if (item.zone !== undefined && item.region === undefined) {
    return { at: '/zone', detail: `zone ${quoted(item.zone)} is in no region; name the region too` }
  }
  if (item.subzone !== undefined && item.zone === undefined) {
    return { at: '/subzone', detail: `subzone ${quoted(item.subzone)} is in no zone` }
  }
  const known = networks.length === 0 ? 'none' : networks.join(', ')
  if (item.network === undefined) {
    if (networks.length === 1) return undefined
    return { at: '', detail: `needs a network: cluster ${cluster} is in ${known}` }
  }
  if (networks.includes(item.network)) return undefined
  const detail = `network ${quoted(item.network)} is none of cluster ${cluster} (${known})`
  return { at: '/network', detail }
}

function repeated(item: ReportItem, seen: Set<string>): Fault | undefined {
  const key = endpointKey(item)
  if (seen.has(key)) return { at: '', detail: 'stands in the report twice' }
  seen.add(key)
  return undefined
}

/** The endpoint, or why it is passed over. */
function endpointOf(item: ReportItem, { services, networks }: ReportScene): EndpointDraft | string {
  const name = serviceTitle({ namespace: item.namespace, name: item.service })
  const ports = services.get(name)?.ports
  if (ports === undefined) return `the mesh has no service ${name}`
  const [only, another] = ports
  const portName = item.portName ?? (another === undefined ? only?.name : undefined)
  if (portName === undefined) return `it names no port, and ${name} has several`
  if (!ports.some((port) => port.name === portName)) return `${name} has no port ${portName}`
  return {
    namespace: item.namespace,
    service: item.service,
    workloadUid: item.workloadUid,
    port: item.port,
    portName,
    network: item.network ?? networks[0] ?? '',
    address: item.address,
    region: item.region,
    zone: item.zone,
    subzone: item.subzone,
    weight: item.weight ?? 1,
    isHealthy: item.healthy ?? true,
  }
}

function skippedOf({ namespace, service, workloadUid }: ReportItem, reason: string): Skipped {
  return { namespace, service, workloadUid, reason }
}
