import { type ChangeContext, recordAudit } from '../../audit/record.ts'
import { type Clock } from '../../clock.ts'
import { type MeshId, newId } from '../../db/ids.ts'
import { type Db } from '../../db/schema.ts'
import { quoted, ServiceError } from '../../errors.ts'
import { type EgressRule, formatEgressRule, parseEgressRule } from '../../http/egress-rule.ts'
import { loadMesh } from '../../mesh/find-mesh.ts'
import {
  deleteEgressSetting,
  type EgressSetting,
  insertEgressSetting,
  listEgressSettings,
} from './egress-store.ts'

/** How long other replicas may go on by the list as it was. */
const FRESH_MS = 1000

/** What {@link EgressRules} needs. */
export interface EgressRulesOptions {
  /** The background handle. */
  readonly db: Db
  readonly clock: Clock
  /** Lines of the configuration; they hold for every mesh. */
  readonly configured: readonly EgressRule[]
}

interface Scoped {
  readonly rule: EgressRule
  readonly meshId: MeshId | undefined
}

/** The allow list in force: configuration and setting, read at most once a second. */
export class EgressRules {
  readonly #options: EgressRulesOptions
  #loading: Promise<readonly Scoped[]> | undefined
  #loadedMs = 0

  constructor(options: EgressRulesOptions) {
    this.#options = options
  }

  /** The lines of the configuration. */
  get configured(): readonly EgressRule[] {
    return this.#options.configured
  }

  /** The rules that apply to connections of a mesh. */
  async rulesFor(meshId: string): Promise<readonly EgressRule[]> {
    const settings = await this.#settings()
    const own = settings.filter((scoped) => scoped.meshId === undefined || scoped.meshId === meshId)
    return [...this.#options.configured, ...own.map(({ rule }) => rule)]
  }

  /** Reads again before the next connection; for the replica that made a change. */
  forget(): void {
    this.#loading = undefined
  }

  #settings(): Promise<readonly Scoped[]> {
    const { clock, db } = this.#options
    const nowMs = clock.monotonicMs()
    if (this.#loading !== undefined && nowMs - this.#loadedMs < FRESH_MS) return this.#loading
    this.#loadedMs = nowMs
    const loading = loadScoped(db)
    this.#loading = loading
    loading.catch(() => this.forget())
    return loading
  }
}

async function loadScoped(db: Db): Promise<readonly Scoped[]> {
  const settings = await listEgressSettings(db)
  return settings.map((setting) => ({ rule: ruleOf(setting), meshId: setting.meshId }))
}

/** The rule of a stored line. */
export function ruleOf({ destination, port }: EgressSetting): EgressRule {
  return { ...parseEgressRule(destination), port }
}

/** A line that somebody wants in the allow list. */
export interface NewEgressRule {
  readonly rule: string
  readonly meshId?: MeshId | undefined
  readonly note?: string | undefined
  readonly context: ChangeContext
}

/**
 * Opens a destination for outgoing connections, of one mesh or of all.
 *
 * Throws EGRESS_RULE_INVALID, ALREADY_EXISTS, and NOT_FOUND without such a mesh.
 */
export async function allowEgress(trx: Db, wanted: NewEgressRule): Promise<EgressSetting> {
  const rule = parseEgressRule(wanted.rule)
  if (wanted.meshId !== undefined) await loadMesh(trx, wanted.meshId)
  const setting: EgressSetting = {
    id: newId(),
    destination: formatEgressRule({ ...rule, port: undefined }),
    port: rule.port,
    meshId: wanted.meshId,
    note: wanted.note,
    createdAt: wanted.context.now,
  }
  const known = await listEgressSettings(trx)
  if (known.some((other) => isSameLine(other, setting))) {
    throw new ServiceError(
      'ALREADY_EXISTS',
      `egress to ${quoted(wanted.rule)} is allowed already`,
      {
        next: 'entente egress list',
      },
    )
  }
  await insertEgressSetting(trx, setting)
  await audit(trx, setting, { context: wanted.context, action: 'egress-rule.create' })
  return setting
}

/** Closes a destination again. Throws NOT_FOUND. */
export async function removeEgress(
  trx: Db,
  id: string,
  context: ChangeContext,
): Promise<EgressSetting> {
  const setting = await deleteEgressSetting(trx, id)
  if (setting === undefined) {
    throw new ServiceError('NOT_FOUND', `there is no egress rule ${quoted(id)}`, {
      next: 'entente egress list',
    })
  }
  await audit(trx, setting, { context, action: 'egress-rule.delete' })
  return setting
}

function isSameLine(one: EgressSetting, other: EgressSetting): boolean {
  return (
    one.destination === other.destination && one.port === other.port && one.meshId === other.meshId
  )
}

async function audit(
  trx: Db,
  setting: EgressSetting,
  { context, action }: { readonly context: ChangeContext; readonly action: string },
): Promise<void> {
  const rule = formatEgressRule(ruleOf(setting))
  await recordAudit(trx, {
    meshId: setting.meshId,
    actor: context.actor,
    action,
    object: `egress-rule/${rule}`,
    at: context.now,
    body: { rule, mesh: setting.meshId ?? null, note: setting.note ?? null },
  })
}
