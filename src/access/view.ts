import type {
  ApiTokenView,
  CreatedApiTokenView,
  GrantView,
  TokenGrantView,
  WhoamiView,
} from './api.ts'
import { ACTIONS, isAction } from './actions.ts'
import type { TokenWithGrants } from './api-tokens.ts'
import { type HeldGrant, type Principal, isAllowed } from './principal.ts'
import type { StoredGrant } from './grant-store.ts'

/** A token as the API shows it; never its hash. */
export function viewToken({ token, grants }: TokenWithGrants): ApiTokenView {
  return {
    id: token.id,
    label: token.label,
    createdAt: token.createdAt.toISOString(),
    expiresAt: token.expiresAt?.toISOString() ?? null,
    revokedAt: token.revokedAt?.toISOString() ?? null,
    grants: grants.map(viewGrant),
  }
}

/** A new token as the API shows it, with its secret unless this was a dry run. */
export function viewCreatedToken(
  created: TokenWithGrants & { readonly secret: string },
  { dryRun }: { readonly dryRun: boolean },
): CreatedApiTokenView {
  const token = viewToken(created)
  if (dryRun) return { ...token, next: [] }
  const use = 'ENTENTE_TOKEN_FILE=FILE entente whoami'
  const next = [use, `entente api-token delete ${token.id}`]
  return { ...token, token: created.secret, next }
}

/** A principal as the API shows it to itself. */
export function viewPrincipal(principal: Principal): WhoamiView {
  const { grants } = principal
  const held = grants.map(({ scope }) => (scope.kind === 'everything' ? undefined : scope.meshId))
  const places = [undefined, ...held]
  return {
    name: principal.name,
    tokenId: principal.tokenId,
    label: principal.label,
    expiresAt: principal.expiresAt?.toISOString() ?? null,
    grants: grants.map(viewGrant),
    actions: Object.keys(ACTIONS)
      .filter(isAction)
      .filter((action) => places.some((meshId) => isAllowed(grants, action, { meshId }))),
  }
}

/** A grant as the API shows it. */
export function viewTokenGrant(grant: StoredGrant): TokenGrantView {
  const { tokenId, createdAt } = grant
  return { ...viewGrant(grant), tokenId, createdAt: createdAt.toISOString() }
}

function viewGrant({ id, role, scope }: HeldGrant): GrantView {
  if (scope.kind === 'everything') return { id, role }
  const { meshId } = scope
  if (scope.kind === 'mesh') return { id, role, meshId }
  return { id, role, meshId, [scope.kind]: [...scope.names] }
}
