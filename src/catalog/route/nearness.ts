import { type Locality } from '../../mesh/topology/topology.ts'
import { type Consumer, type Tier, TIERS } from './route.ts'

/**
 * How near something is to a consumer that reaches it by its own address.
 *
 * A zone counts within its region and a subzone within its zone; what is not known of either side is not near.
 */
export function nearnessOfAddress({ locality: ours }: Consumer, theirs: Locality): Tier {
  if (!isSame(ours.region, theirs.region)) return 'rest'
  if (!isSame(ours.zone, theirs.zone)) return 'same-region'
  return isSame(ours.subzone, theirs.subzone) ? 'same-subzone' : 'same-zone'
}

/**
 * How near a way through a gateway is: as near as the farther of the gateway and the nearest endpoint behind it.
 *
 * It never comes before an address in the consumer's own zone, since a gateway is one more hop into another
 * network. A gateway of unknown place does not count.
 */
export function nearnessThroughGateway(
  consumer: Consumer,
  gateway: Locality,
  nearestBehind: Tier,
): Tier {
  const itself = gateway.region === undefined ? nearestBehind : nearnessOfAddress(consumer, gateway)
  return farther('same-region', farther(itself, nearestBehind))
}

/** The nearer of two tiers. */
export function nearer(a: Tier, b: Tier): Tier {
  return TIERS.indexOf(a) <= TIERS.indexOf(b) ? a : b
}

function farther(a: Tier, b: Tier): Tier {
  return nearer(a, b) === a ? b : a
}

/** Why targets of a tier stand together, in words. */
export function whyTier(tier: Tier, { network, locality }: Consumer): string {
  const { region, zone, subzone } = locality
  const unknown = 'all alike, since the place of the consumer is not known'
  const elsewhere = 'in another region, or in none that is known'
  const reasons: Readonly<Record<Tier, string>> = {
    'same-subzone': `in network ${network} and in subzone ${subzone} of zone ${zone}, like the consumer`,
    'same-zone': `in network ${network} and in zone ${zone}, like the consumer`,
    'same-region': `in region ${region}, like the consumer`,
    rest: region === undefined ? unknown : elsewhere,
    last: 'draining: only for when nothing else answers',
  }
  return reasons[tier]
}

function isSame(ours: string | undefined, theirs: string | undefined): boolean {
  return ours !== undefined && ours === theirs
}
