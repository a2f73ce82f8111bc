import { type Severity } from '../../db/schema.ts'

/** How urgent an alert can be, the least first. */
export const SEVERITIES = ['info', 'warning', 'critical'] as const satisfies readonly Severity[]

/** One row of {@link ALERT_CODES}. */
export interface AlertCode {
  /** What it is raised as; where there are several, the nearer it comes the more urgent. */
  readonly severities: readonly [Severity, ...Severity[]]
  /** Who sees it: every replica in the database, or each replica for itself. */
  readonly seen: 'database' | 'replica'
  /** What its object names. */
  readonly object: string
  readonly meaning: string
  readonly act: string
}

/**
 * The one table of alerts: stable codes, how urgent they are, what they mean and what to do; docs/alerts.md is made
 * from it.
 *
 * What `http/alarms.ts` raises in a process under a code without a row is a warning seen by that replica; a test
 * finds such a code.
 */
export const ALERT_CODES = {
  'trust.breaks-soon': {
    severities: ['warning', 'critical'],
    seen: 'database',
    object: 'relationship/trust domain',
    meaning:
      'Trust with an active peer ends if nothing new arrives: the last X.509 authority of its domain that we hold ends, or of the domain in which its endpoint stands, or the last of ours that it holds; or a key of ours signs that it does not hold. A warning from 72 h and critical from 24 h before; of authorities that live shorter than nine days a third and a sixth of their life before.',
    act: '`entente federation show NAME` says which end comes first; `entente federation refresh NAME` fetches now; ask the peer to rotate or to publish its successor',
  },
  'peer.deadlock-ahead': {
    severities: ['critical'],
    seen: 'database',
    object: 'relationship/trust domain',
    meaning:
      'Polls of an https_spiffe endpoint fail, and the last authority by which it could be authenticated ends within seven days (of shorter lives: half of it). After that no fetch can ever succeed by itself.',
    act: "make the endpoint answer before that moment, or get the peer's newest bundle another way: `entente bundle set NAME --file FILE`",
  },
  'peer.needs-bootstrap': {
    severities: ['critical'],
    seen: 'database',
    object: 'relationship/trust domain',
    meaning:
      'No authority that we hold can authenticate the endpoint any more (or, of a bundle given by hand, none is valid); nothing heals by itself.',
    act: "get the peer's newest bundle out of band, compare fingerprints, then `entente bundle set NAME --file FILE`",
  },
  'peer.quarantined': {
    severities: ['warning'],
    seen: 'database',
    object: 'relationship/trust domain',
    meaning:
      'A document of the peer waits for a person, as the change policy demands; the bundle in force goes on being used.',
    act: '`entente federation bundle diff NAME`, then approve it by its digest or reject it',
  },
  'peer.stale': {
    severities: ['warning'],
    seen: 'database',
    object: 'relationship/trust domain',
    meaning:
      'No poll has succeeded for three intervals and at least 15 minutes; the stored bundle stays in force.',
    act: '`entente federation show NAME` gives the reason; `entente federation refresh NAME` tries now',
  },
  'peer.failing': {
    severities: ['info'],
    seen: 'database',
    object: 'relationship/trust domain',
    meaning: 'The last poll failed. A single failure is never more than this.',
    act: 'nothing yet; it becomes `peer.stale` if it lasts',
  },
  'peer.sequence-regressed': {
    severities: ['warning'],
    seen: 'database',
    object: 'relationship/trust domain',
    meaning:
      'The peer serves an older sequence than the newest that was fetched: restored from a backup, or replayed by somebody. It is refused.',
    act: 'ask the peer; if it is right: `entente federation refresh NAME --accept-lower-sequence`',
  },
  'peer.changes-too-often': {
    severities: ['warning'],
    seen: 'database',
    object: 'relationship/trust domain',
    meaning: 'The bundle changed more than 20 times within an hour; the peer is polled slowest.',
    act: 'ask the peer why; nothing of ours is at risk',
  },
  'relationship.review-due': {
    severities: ['warning'],
    seen: 'database',
    object: 'relationship',
    meaning: 'The day has come on which somebody wanted to look at this relationship again.',
    act: '`entente federation show NAME`; then move the date or end the relationship',
  },
  'relationship.expires-soon': {
    severities: ['info', 'warning', 'critical'],
    seen: 'database',
    object: 'relationship',
    meaning:
      'The relationship terminates by itself at its `expiresAt`: info from 30 days, warning from 7 days, critical from one day before.',
    act: 'extend `expiresAt`, or tell those who depend on it: `entente federation terminate NAME --dry-run` lists them',
  },
  'reader.behind': {
    severities: ['warning'],
    seen: 'database',
    object: 'trust domain/reader',
    meaning:
      'A reader that polls our bundle still holds an older sequence three hints after a newer one was published.',
    act: '`entente bundle reader list`; a cache between us and the reader that ignores our headers is the usual cause',
  },
  'reader.vanished': {
    severities: ['warning'],
    seen: 'database',
    object: 'trust domain/reader',
    meaning:
      'A reader that used to poll our bundle has not fetched for five hints and at least 15 minutes; rotation no longer waits for it.',
    act: 'ask who runs it, or remove it: `entente bundle reader remove LABEL`',
  },
  'authority.forced': {
    severities: ['warning'],
    seen: 'database',
    object: 'trust domain and kind',
    meaning:
      'A key of ours was activated at its deadline although not everybody was known to hold it; shown for seven days.',
    act: '`entente bundle reader list` and `entente federation list` show who may still refuse what it signs',
  },
  'availability.below-target': {
    severities: ['info'],
    seen: 'database',
    object: 'mesh',
    meaning:
      'The control planes of a mesh that are active and heard of are placed for a lower tier of availability than its `availabilityTarget`; the message says why and what would raise it.',
    act: 'add or repair what the message names, or declare another target: `entente mesh set --availability-target N`',
  },
  'offers.not-imported': {
    severities: ['info'],
    seen: 'database',
    object: 'relationship',
    meaning:
      'A peer offers services that no import rule of ours takes in and none refuses: nobody here can call them.',
    act: 'the message has the command for the first of them; `entente rule import --deny NAMESPACE/NAME --from PEER` ends the notice for what is not wanted',
  },
  'webhook.dead': {
    severities: ['warning'],
    seen: 'database',
    object: 'webhook',
    meaning: 'Deliveries to a webhook were given up within the last seven days.',
    act: '`entente webhook deliveries NAME --state dead`; repair the receiver, then `entente webhook retry NAME ID`',
  },
  'authority.stuck': {
    severities: ['critical'],
    seen: 'replica',
    object: 'trust domain',
    meaning: 'The lifecycle of the authorities of a trust domain fails, so they do not rotate.',
    act: 'the message says why; usually a KEK that does not open the keys',
  },
  'endpoint-svid.failed': {
    severities: ['critical'],
    seen: 'replica',
    object: 'trust domain',
    meaning: 'The certificate of our own listeners cannot be made for a trust domain.',
    act: 'the message says why; `entente authority list` shows the keys',
  },
  'web-certificate.ending': {
    severities: ['warning', 'critical'],
    seen: 'replica',
    object: 'file',
    meaning:
      'A certificate of the https_web chain ends within 14 days (critical: within three, or it has); peers then cannot fetch our bundle.',
    act: 'put the renewed pair into the files of ENTENTE_WEB_CERT_FILE and ENTENTE_WEB_KEY_FILE; they are read when they change',
  },
  'web-certificate.hosts': {
    severities: ['critical'],
    seen: 'replica',
    object: 'file',
    meaning:
      'The https_web certificate does not name a host that it is presented for; peers refuse it there.',
    act: 'have it issued for the named hosts, or move the bundle host of the mesh',
  },
  'web-certificate.chain': {
    severities: ['warning'],
    seen: 'replica',
    object: 'file',
    meaning: 'The https_web chain is incomplete or out of order; some clients will refuse it.',
    act: 'put leaf and intermediates into the file, each followed by its issuer',
  },
  'web-certificate.unusable': {
    severities: ['critical'],
    seen: 'replica',
    object: 'file',
    meaning: 'New certificate files cannot be used; the old pair stays, if there is one.',
    act: 'the message says why; write both files again',
  },
  'default-tls.unknown': {
    severities: ['warning'],
    seen: 'replica',
    object: 'setting',
    meaning: 'ENTENTE_DEFAULT_TLS names no trust domain of ours.',
    act: 'correct the setting and restart',
  },
  'clock.differs': {
    severities: ['warning'],
    seen: 'replica',
    object: 'replica',
    meaning:
      "A replica's clock differs from the database's by more than 5 s; it does nothing by time until they agree.",
    act: 'repair time synchronisation on that machine',
  },
  'audit.tail-lost': {
    severities: ['critical'],
    seen: 'replica',
    object: 'audit log',
    meaning: 'The newest sealed records of the audit log are gone from the database.',
    act: '`entente audit verify --head N:HASH` with the last head that was logged; find out who can write to the database',
  },
} as const satisfies Record<string, AlertCode>

/** The stable name of an alert. */
export type AlertCodeName = keyof typeof ALERT_CODES

/** What an alarm under a code without a row is taken for. */
const UNLISTED: AlertCode = {
  severities: ['warning'],
  seen: 'replica',
  object: '',
  meaning: '',
  act: '',
}

/** The row of a code; of one that has none, a warning seen by one replica. */
export function alertCode(code: string): AlertCode {
  return isAlertCode(code) ? ALERT_CODES[code] : UNLISTED
}

/** Whether a text names a row of the table. */
export function isAlertCode(code: string): code is AlertCodeName {
  return Object.hasOwn(ALERT_CODES, code)
}

/** Whether one severity is at least another. */
export function isAtLeast(severity: Severity, least: Severity): boolean {
  return SEVERITIES.indexOf(severity) >= SEVERITIES.indexOf(least)
}
