import type { MeshView } from './api.ts'

/** The commands that are useful once a mesh exists, ready to paste. */
export function nextAfterCreate(mesh: MeshView): string[] {
  const { meshId } = mesh
  const [domain] = mesh.trustDomains
  if (domain === undefined) return []
  const { name, bundleUrl: url, profile, endpointSpiffeId, hostCheck } = domain
  const endpoint = endpointSpiffeId === null ? '' : `, endpoint ID ${endpointSpiffeId}`
  const dns = hostCheck?.resolvesToUs === false ? [`# ${hostCheck.detail}`] : []
  return [
    ...dns,
    `entente federation invite --mesh ${meshId} --for PEER-TRUST-DOMAIN > peer.invite`,
    `# at a peer that is no Entente: trust domain ${name}, profile ${profile}, URL ${url}${endpoint}, and our bundle: entente bundle show --mesh ${meshId}`,
    `entente join-token create --mesh ${meshId} --id /web`,
  ]
}
