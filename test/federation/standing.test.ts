import { readFileSync } from 'node:fs'
import t from 'tap'
import { type Consent, type RelationshipState } from '../../src/db/schema.ts'
import {
  allowedEvents,
  decideStanding,
  type StandingEvent,
  type StandingFacts,
  transition,
} from '../../src/federation/standing.ts'

interface Row {
  readonly facts: StandingFacts & { readonly name: string }
  readonly hasBundles: boolean
  /** State afterwards, or undefined where the event is refused. */
  readonly cells: ReadonlyMap<StandingEvent, string | undefined>
}

const lines = readFileSync(new URL('../vectors/consent-table.txt', import.meta.url), 'utf8')
  .split('\n')
  .filter((line) => line !== '' && !line.startsWith('#'))
  .map((line) => line.split(/ +/))
const EVENTS = (lines[0] ?? []).slice(5) as StandingEvent[]
const rows = lines.slice(1).map(rowOf)

function rowOf([ours, theirs, hold, bundles, state, ...cells]: string[]): Row {
  return {
    facts: {
      name: 'globex',
      ourConsent: ours as Consent,
      theirConsent: theirs as Consent,
      onHold: hold === 'held',
      state: state as RelationshipState,
    },
    hasBundles: bundles === 'bundles',
    cells: new Map(
      EVENTS.map((event, index) => [event, cells[index] === '-' ? undefined : cells[index]]),
    ),
  }
}

/** What each event changes of the facts, wherever it is allowed. */
const CHANGES: Readonly<Record<StandingEvent, Partial<StandingFacts>>> = {
  approve: { ourConsent: 'given' },
  withdraw: { ourConsent: 'withdrawn' },
  suspend: { onHold: true },
  resume: { onHold: false },
  terminate: {},
  expire: {},
  'peer-consents': { theirConsent: 'given' },
  'peer-withdraws': { theirConsent: 'withdrawn' },
  'bundle-arrives': {},
}

const titleOf = ({ facts, hasBundles }: Row) =>
  [
    `ours ${facts.ourConsent}`,
    `theirs ${facts.theirConsent}`,
    facts.onHold ? 'on hold' : 'not on hold',
    hasBundles ? 'with bundles' : 'without bundles',
    facts.state,
  ].join(', ')

t.test('the table has every event and every combination of facts once', async (t) => {
  t.same(EVENTS, Object.keys(CHANGES))
  const living = rows.filter(({ facts }) => facts.state !== 'terminated')
  t.equal(living.length, 3 * 4 * 2 * 2)
  t.equal(new Set(rows.map(titleOf)).size, rows.length)
})

t.test('the state in every row is the one that its facts lead to', async (t) => {
  for (const row of rows) {
    if (row.facts.state === 'terminated') continue
    t.equal(decideStanding(row.facts, row.hasBundles), row.facts.state, titleOf(row))
  }
})

for (const event of Object.keys(CHANGES) as StandingEvent[]) {
  t.test(`${event} leads where the consent table says, or is refused`, async (t) => {
    for (const row of rows) {
      const state = row.cells.get(event)
      if (state === undefined) {
        t.throws(() => transition(row.facts, event, row.hasBundles), { code: 'CONFLICT' })
      } else {
        const after = transition(row.facts, event, row.hasBundles)
        t.same(after, { ...row.facts, ...CHANGES[event], state }, `${event}: ${titleOf(row)}`)
      }
    }
  })
}

t.test('the allowed events of a row are those that its cells do not refuse', async (t) => {
  for (const row of rows) {
    const allowed = EVENTS.filter((event) => row.cells.get(event) !== undefined)
    t.same(allowedEvents(row.facts), allowed, titleOf(row))
  }
})

t.test('a refusal names what is found, what is allowed and a command', async (t) => {
  const facts = {
    name: 'globex',
    ourConsent: 'given',
    theirConsent: 'assumed',
    onHold: true,
    state: 'suspended',
  } as const
  t.throws(() => transition(facts, 'suspend', true), {
    message:
      'relationship globex is suspended, so "suspend" is refused; allowed are: withdraw, resume, terminate',
    next: 'entente federation show globex',
  })
  t.throws(() => transition({ ...facts, state: 'terminated' }, 'resume', true), {
    message: 'relationship globex is terminated, so "resume" is refused; it can only be deleted',
    next: 'entente federation delete globex',
  })
})

t.test('nothing that a peer does ends what our operator holds back', async (t) => {
  const held = rows.filter(({ facts }) => facts.onHold && facts.state !== 'terminated')
  for (const row of held) {
    t.equal(row.cells.get('peer-consents'), 'suspended', titleOf(row))
    t.equal(row.cells.get('bundle-arrives'), 'suspended', titleOf(row))
  }
})
