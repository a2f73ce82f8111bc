import { whyTier } from './nearness.ts'
import {
  compareText,
  type Consumer,
  MAX_TARGETS,
  type RouteGroup,
  type RouteTarget,
  type Tier,
  TIERS,
} from './route.ts'
import { scaledWeight, scaleOf, type Share } from './weights.ts'

/** A way with its tier and what it carries. */
export interface Way {
  readonly target: Omit<RouteTarget, 'weight'>
  readonly tier: Tier
  readonly shares: readonly Share[]
}

/** Ways by tier, nearest first, each tier in a stable order; tiers without any are left out. */
export function groupsOf(ways: readonly Way[], consumer: Consumer): RouteGroup[] {
  const scale = scaleOf(ways.flatMap(({ shares }) => shares))
  const inTiers = TIERS.map((kind) => ({ kind, ways: ways.filter(({ tier }) => tier === kind) }))
  return inTiers
    .filter((tier) => tier.ways.length > 0)
    .map((tier, index) => ({
      tier: index + 1,
      kind: tier.kind,
      why: whyTier(tier.kind, consumer),
      targets: tier.ways
        .map(({ target, shares }) => ({ ...target, weight: scaledWeight(shares, scale) }))
        .toSorted(compareTargets)
        .slice(0, MAX_TARGETS),
      truncated: tier.ways.length > MAX_TARGETS,
    }))
}

function compareTargets(a: RouteTarget, b: RouteTarget): number {
  return (
    compareText(a.portName, b.portName) ||
    compareText(a.viaGateway ?? '', b.viaGateway ?? '') ||
    compareText(a.network ?? '', b.network ?? '') ||
    compareText(a.cluster ?? '', b.cluster ?? '') ||
    compareText(a.address, b.address) ||
    a.port - b.port
  )
}
