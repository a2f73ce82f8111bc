import { type Consent, type RelationshipState } from '../db/schema.ts'
import { ServiceError } from '../errors.ts'

/** What the standing of a relationship follows from. */
export interface StandingFacts {
  readonly ourConsent: Consent
  readonly theirConsent: Consent
  /** Suspended by our own operator. */
  readonly onHold: boolean
  readonly state: RelationshipState
}

/** What can happen to the standing of a relationship, by us, by the peer or by time. */
export type StandingEvent =
  | 'approve'
  | 'withdraw'
  | 'suspend'
  | 'resume'
  | 'terminate'
  | 'expire'
  | 'peer-consents'
  | 'peer-withdraws'
  | 'bundle-arrives'

type Changed = Pick<StandingFacts, 'ourConsent' | 'theirConsent' | 'onHold'>

interface Transition {
  /** Whether the event makes sense for a relationship that is not terminated. */
  readonly isAllowed: (facts: StandingFacts) => boolean
  readonly change: (facts: StandingFacts) => Partial<Changed>
}

const always = (): boolean => true
const nothing = (): Partial<Changed> => ({})

/** Nothing happens to a terminated relationship; it can only be deleted. */
const TRANSITIONS: Readonly<Record<StandingEvent, Transition>> = {
  approve: {
    isAllowed: ({ ourConsent }) => ourConsent !== 'given',
    change: () => ({ ourConsent: 'given' }),
  },
  withdraw: {
    isAllowed: ({ ourConsent }) => ourConsent !== 'withdrawn',
    change: () => ({ ourConsent: 'withdrawn' }),
  },
  suspend: { isAllowed: ({ onHold }) => !onHold, change: () => ({ onHold: true }) },
  resume: { isAllowed: ({ onHold }) => onHold, change: () => ({ onHold: false }) },
  terminate: { isAllowed: always, change: nothing },
  expire: { isAllowed: always, change: nothing },
  'peer-consents': { isAllowed: always, change: () => ({ theirConsent: 'given' }) },
  'peer-withdraws': {
    isAllowed: ({ theirConsent }) => theirConsent !== 'withdrawn',
    change: () => ({ theirConsent: 'withdrawn' }),
  },
  'bundle-arrives': { isAllowed: always, change: nothing },
}

const EVENTS = Object.keys(TRANSITIONS) as readonly StandingEvent[]

/** The events that this relationship allows now. */
export function allowedEvents(facts: StandingFacts): StandingEvent[] {
  if (facts.state === 'terminated') return []
  return EVENTS.filter((event) => TRANSITIONS[event].isAllowed(facts))
}

/**
 * What a relationship is after an event. `hasBundles`: whether one verified bundle per domain was ever accepted.
 *
 * Throws CONFLICT naming the events that are allowed.
 */
export function transition<T extends StandingFacts>(
  before: T & { readonly name: string },
  event: StandingEvent,
  hasBundles: boolean,
): T & { readonly name: string } {
  const { isAllowed, change } = TRANSITIONS[event]
  if (before.state === 'terminated' || !isAllowed(before)) throw refused(before, event)
  const after = { ...before, ...change(before) }
  if (event === 'terminate' || event === 'expire') return { ...after, state: 'terminated' }
  return { ...after, state: decideStanding(after, hasBundles) }
}

/**
 * The state that consents, hold and bundles lead to: suspended while one side withholds, active once both consent
 * and every domain had a verified bundle, else pending.
 */
export function decideStanding(
  { ourConsent, theirConsent, onHold }: Omit<StandingFacts, 'state'>,
  hasBundles: boolean,
): Exclude<RelationshipState, 'terminated'> {
  if (onHold || ourConsent === 'withdrawn' || theirConsent === 'withdrawn') return 'suspended'
  const isAgreed = ourConsent === 'given' && ['given', 'assumed'].includes(theirConsent)
  return isAgreed && hasBundles ? 'active' : 'pending'
}

function refused(before: StandingFacts & { readonly name: string }, event: StandingEvent) {
  const allowed = allowedEvents(before)
  const found = `relationship ${before.name} is ${before.state}, so "${event}" is refused`
  if (allowed.length === 0) {
    return new ServiceError('CONFLICT', `${found}; it can only be deleted`, {
      next: `entente federation delete ${before.name}`,
    })
  }
  const operators = allowed.filter((name) => OPERATOR_EVENTS.has(name)).join(', ')
  return new ServiceError('CONFLICT', `${found}; allowed are: ${operators}`, {
    next: `entente federation show ${before.name}`,
  })
}

const OPERATOR_EVENTS: ReadonlySet<StandingEvent> = new Set([
  'approve',
  'withdraw',
  'suspend',
  'resume',
  'terminate',
])
