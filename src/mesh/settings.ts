import type { AuthorityKind } from '../db/schema.ts'
import { type FieldError, ServiceError } from '../errors.ts'

/** The settings of a mesh: how long its keys and SVIDs live, and how its bundle is published. */
export interface MeshSettings {
  readonly rootSeconds: number
  readonly intermediateSeconds: number
  readonly jwtKeySeconds: number
  readonly endpointSvidSeconds: number
  /** The longest X509-SVID that an entry may ask for. */
  readonly maxX509SvidSeconds: number
  /** The longest JWT-SVID that an entry may ask for. */
  readonly maxJwtSvidSeconds: number
  /** Least time between publishing a key and signing with it. */
  readonly minPublishSeconds: number
  /** Refresh hint in our bundle (SPIFFE Trust Domain and Bundle §4.1.2, BU-05). */
  readonly hintSeconds: number
  /** How long a retired key stays published after the last SVID under it ended: clock skew of verifiers. */
  readonly removalSkewSeconds: number
}

/** The name of a setting. */
export type SettingName = keyof MeshSettings

const DAY = 86_400

/** Default and limits of every setting, in seconds; the one table behind schema, refusals and documentation. */
export const SETTINGS = {
  rootSeconds: { default: 365 * DAY, min: 10, max: 3650 * DAY, what: 'life of a root' },
  intermediateSeconds: {
    default: 7 * DAY,
    min: 2,
    max: 366 * DAY,
    what: 'life of an intermediate',
  },
  jwtKeySeconds: { default: 30 * DAY, min: 10, max: 366 * DAY, what: 'life of a JWT signing key' },
  endpointSvidSeconds: {
    default: DAY,
    min: 2,
    max: DAY,
    what: 'life of the SVIDs that our own listeners present',
  },
  maxX509SvidSeconds: { default: DAY, min: 1, max: DAY, what: 'longest X509-SVID' },
  maxJwtSvidSeconds: { default: 3600, min: 1, max: 3600, what: 'longest JWT-SVID' },
  minPublishSeconds: {
    // istiod polls every 30 minutes whatever the hint says.
    default: 3600,
    min: 0,
    max: 30 * DAY,
    what: 'least time between publishing a key and signing with it',
  },
  hintSeconds: { default: 300, min: 1, max: DAY, what: 'refresh hint of the bundle' },
  removalSkewSeconds: {
    default: 120,
    min: 0,
    max: DAY,
    what: 'time a retired key stays published after the last SVID under it ended',
  },
} as const satisfies Record<
  SettingName,
  { default: number; min: number; max: number; what: string }
>

/** All setting names. */
const SETTING_NAMES = [
  'rootSeconds',
  'intermediateSeconds',
  'jwtKeySeconds',
  'endpointSvidSeconds',
  'maxX509SvidSeconds',
  'maxJwtSvidSeconds',
  'minPublishSeconds',
  'hintSeconds',
  'removalSkewSeconds',
] as const satisfies readonly SettingName[]

/** The settings in force: the stored ones over the defaults. */
export function settingsInForce(stored: Readonly<Record<string, number>>): MeshSettings {
  const of = (name: SettingName): number => stored[name] ?? SETTINGS[name].default
  return {
    rootSeconds: of('rootSeconds'),
    intermediateSeconds: of('intermediateSeconds'),
    jwtKeySeconds: of('jwtKeySeconds'),
    endpointSvidSeconds: of('endpointSvidSeconds'),
    maxX509SvidSeconds: of('maxX509SvidSeconds'),
    maxJwtSvidSeconds: of('maxJwtSvidSeconds'),
    minPublishSeconds: of('minPublishSeconds'),
    hintSeconds: of('hintSeconds'),
    removalSkewSeconds: of('removalSkewSeconds'),
  }
}

/** Only what differs from the defaults: the form in which settings are stored. */
export function settingsToStore(settings: Partial<MeshSettings>): Record<string, number> {
  return Object.fromEntries(
    SETTING_NAMES.flatMap((name) => {
      const value = settings[name]
      return value === undefined || value === SETTINGS[name].default ? [] : [[name, value]]
    }),
  )
}

/**
 * Refuses settings under which keys could not do their work: every fault at once, INVALID_REQUEST with one
 * field per fault.
 *
 * An intermediate must live twice the longest SVID, because it is replaced at half its life and no SVID
 * outlives its issuer; and a key must find the time to be published before its predecessor's deadline.
 */
export function checkSettings(settings: MeshSettings): void {
  const faults = [...rangeFaults(settings), ...ratioFaults(settings), ...windowFaults(settings)]
  if (faults.length === 0) return
  const fields: FieldError[] = faults.map(({ name, detail }) => ({
    in: 'body',
    pointer: `/settings/${name}`,
    detail,
  }))
  const text = faults.map(({ name, detail }) => `${name} ${detail}`).join('; ')
  throw new ServiceError('INVALID_REQUEST', `settings refused: ${text}`, { fields })
}

interface Fault {
  readonly name: SettingName
  readonly detail: string
}

function rangeFaults(settings: MeshSettings): Fault[] {
  return SETTING_NAMES.flatMap((name) => {
    const { min, max } = SETTINGS[name]
    const value = settings[name]
    if (Number.isSafeInteger(value) && value >= min && value <= max) return []
    return [{ name, detail: `is ${value}, wanted a whole number from ${min} to ${max}` }]
  })
}

function ratioFaults(settings: MeshSettings): Fault[] {
  const twice: readonly (readonly [SettingName, SettingName])[] = [
    ['intermediateSeconds', 'maxX509SvidSeconds'],
    ['rootSeconds', 'intermediateSeconds'],
    ['jwtKeySeconds', 'maxJwtSvidSeconds'],
  ]
  return twice.flatMap(([name, of]) => {
    const wanted = 2 * settings[of]
    if (settings[name] >= wanted) return []
    return [{ name, detail: `is ${settings[name]}, wanted at least twice ${of}, ${wanted}` }]
  })
}

const ROOT_LEAD_LIMIT_SECONDS = 60 * DAY

/**
 * Seconds before the end of a key's life at which its successor is prepared: half its life, for roots at most
 * 60 days, because peers hold a root for long and gain nothing from a second one earlier.
 */
export function leadSeconds(kind: AuthorityKind, life: number): number {
  return kind === 'x509_root' ? Math.min(life / 2, ROOT_LEAD_LIMIT_SECONDS) : life / 2
}

/**
 * Seconds before the end of a key's life at which its successor becomes active in any case: a third of the lead.
 *
 * That is a sixth of the life where the lead is half of it. A sixth of a one-year root's life (61 days) would
 * begin before its lead of 60 days, and force every rotation; hence a share of the lead, not of the life.
 */
export function deadlineSeconds(kind: AuthorityKind, life: number): number {
  return leadSeconds(kind, life) / 3
}

/** Seconds for which a key is published before it signs (SPIFFE Federation §4.1 advises 3 to 5 hints; FE-31). */
export function publishSeconds(settings: MeshSettings, largestHintSeconds: number): number {
  return Math.max(settings.minPublishSeconds, 5 * largestHintSeconds)
}

function windowFaults(settings: MeshSettings): Fault[] {
  const wanted = publishSeconds(settings, settings.hintSeconds)
  const windows = [
    ['rootSeconds', 'x509_root'],
    ['jwtKeySeconds', 'jwt'],
  ] as const
  return windows.flatMap(([name, kind]) => {
    const life = settings[name]
    const window = leadSeconds(kind, life) - deadlineSeconds(kind, life)
    if (window >= wanted) return []
    const detail = `is ${life}, which leaves ${Math.floor(window)} s to publish a successor, wanted ${wanted} (the larger of minPublishSeconds and five hints)`
    return [{ name, detail }]
  })
}
