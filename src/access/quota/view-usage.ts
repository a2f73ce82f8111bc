import type { QuotaOwner } from './quota.ts'
import type { UsageView } from './quota-api.ts'
import type { Usage } from './usage.ts'

/** Usage as the API shows it. */
export function viewUsage(
  { meshId, namespace }: QuotaOwner,
  { counters, svids }: Usage,
): UsageView {
  return {
    meshId,
    namespace: namespace ?? null,
    counters: counters.map(({ kind, used, limit }) => ({
      kind,
      used: String(used),
      limit: limit ?? null,
    })),
    svids: svids.map(({ day, issued }) => ({ day, issued: String(issued) })),
  }
}
