import { type RelationshipDomainView, type RelationshipView } from '../../federation/api.ts'
import { type Column } from '../output.ts'
import { shownForecast } from './federation-forecast.ts'
import { shownOwnerData } from './federation-owner.ts'
import { span, until } from './spans.ts'

/** The columns of `federation list`. */
export const listedRelationship: readonly Column<RelationshipView>[] = [
  { title: 'NAME', value: ({ name }) => name },
  { title: 'STATE', value: ({ state }) => state },
  { title: 'HEALTH', value: ({ health }) => health ?? '-' },
  { title: 'SEQ', value: eachDomain(({ bundle }) => bundle?.sequence ?? '-') },
  {
    title: 'AGE',
    value: eachDomain(({ bundle }) => (bundle === null ? '-' : span(bundle.ageSeconds))),
  },
  {
    title: 'NEXT-POLL',
    value: eachDomain(({ poll }) => (poll === null ? '-' : until(poll.nextAt, 'now'))),
  },
  { title: 'BREAKS-AT', value: ({ trustBreaksAt }) => trustBreaksAt ?? '-' },
]

function eachDomain(cell: (domain: RelationshipDomainView) => string) {
  return ({ domains }: RelationshipView): string => domains.map(cell).join(', ')
}

/** A relationship as aligned lines on a terminal; what is absent is left out. */
export function shownRelationship(view: RelationshipView): Record<string, unknown> {
  const lines: [string, string][] = [
    ['name', view.name],
    ['state', view.state],
    ['because', view.standingReason ?? ''],
    ['waitingFor', view.waitingFor.join(', ')],
    ['health', view.health ?? ''],
    ['why', view.healthReason ?? ''],
    ['wayOut', view.wayOut ?? ''],
    ...shownForecast(view),
    ['ourConsent', view.ourConsent],
    ['theirConsent', view.theirConsent === 'assumed' ? 'assumed, one-way' : view.theirConsent],
    ...shownOwnerData(view),
    ['waits for consent', view.proposals.map(shownProposal).join('; ')],
    ['policy', view.changePolicy === 'auto' ? '' : view.changePolicy],
    ['hintLimits', limits(view)],
    ['readerUrl', view.readerUrl ?? ''],
    ...shownExchange(view),
    ...view.domains.flatMap(shownDomain),
  ]
  return Object.fromEntries(lines.filter(([, value]) => value !== ''))
}

/** The channel to a peer that speaks Entente too, and what it last said. */
function shownExchange({ exchange }: RelationshipView): [string, string][] {
  if (exchange === null) return []
  const { askedAt, answeredAt, lastError, theySay, noticesWaiting, noticeError } = exchange
  const said = theySay === null ? 'nothing yet' : `consent ${theySay}, ${answeredAt}`
  return [
    ['exchange', `${exchange.id} at ${exchange.url}`],
    ['they say', said],
    ['last asked', lastError === null ? (askedAt ?? 'not yet') : `${askedAt}: ${lastError}`],
    ['last notice', exchange.noticedAt === null ? '' : `from them ${exchange.noticedAt}`],
    ['last notified', exchange.notifiedAt ?? ''],
    [
      'notices waiting',
      noticesWaiting === 0 ? '' : `${noticesWaiting}: ${noticeError ?? 'not tried yet'}`,
    ],
  ]
}

function shownProposal({ origin, changes }: RelationshipView['proposals'][number]): string {
  return `${origin}: ${changes.map(({ trustDomain, what }) => `${trustDomain} ${what}`).join(', ')}`
}

function shownDomain(domain: RelationshipDomainView): [string, string][] {
  const { trustDomain: td, bundle, waiting, poll } = domain
  return [
    [td, [domain.source, domain.endpointUrl, domain.endpointSpiffeId].filter(Boolean).join(' ')],
    [`${td} bundle`, bundle === null ? 'none yet' : shownBundle(bundle)],
    [`${td} waiting`, waiting === null ? '' : `revision ${waiting.n}, digest ${waiting.digest}`],
    ...(poll === null ? [] : shownPoll(td, poll)),
    [`${td} relay`, shownRelay(domain)],
  ]
}

const ORIGINS = {
  fetched: '',
  manual: ', set by hand',
  signed: ', from a signed document',
  reduced: ', less what the peer has dropped',
  published: ', read from this service',
} as const

/** Where our own control planes read this bundle, and when one last did. */
function shownRelay({ relayUrl, relay }: RelationshipDomainView): string {
  const last = relay?.lastAt ?? undefined
  return last === undefined ? relayUrl : `${relayUrl} (last fetched ${last})`
}

function shownBundle(bundle: NonNullable<RelationshipDomainView['bundle']>): string {
  const sequence = bundle.sequence === null ? 'without a sequence' : `sequence ${bundle.sequence}`
  const roots = `${bundle.x509Authorities} X.509 ${bundle.x509Authorities === 1 ? 'authority' : 'authorities'}`
  return `${sequence}, ${span(bundle.ageSeconds)} old, ${roots}${ORIGINS[bundle.origin]}`
}

function shownPoll(
  trustDomain: string,
  poll: NonNullable<RelationshipDomainView['poll']>,
): [string, string][] {
  return [
    [`${trustDomain} last attempt`, poll.lastAttemptAt ?? 'none yet'],
    [`${trustDomain} last success`, poll.lastSuccessAt ?? 'none yet'],
    [`${trustDomain} last error`, poll.lastError ?? ''],
    [
      `${trustDomain} next poll`,
      `${until(poll.nextAt, 'now')}, every ${span(poll.intervalSeconds)}`,
    ],
  ]
}

function limits({ hintMinSeconds, hintMaxSeconds }: RelationshipView): string {
  if (hintMinSeconds === null && hintMaxSeconds === null) return ''
  return `${hintMinSeconds ?? '-'} to ${hintMaxSeconds ?? '-'} s`
}
