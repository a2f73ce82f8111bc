const RULES = 'POST /v1/meshes/{meshId}/rules'
const rule = { direction: 'export', effect: 'allow', subject: { namespace: 'shop', name: 'cart' } }

/** Bodies that name what is elsewhere: with a name that only another mesh has, and with one that none has. */
export const NAMING: readonly (readonly [string, (name: string) => object])[] = [
  [RULES, (name) => ({ ...rule, audience: { kind: 'peers', relationships: [name] } })],
  [RULES, (name) => ({ ...rule, audience: { kind: 'peers', groups: [name] } })],
  [RULES, (name) => ({ ...rule, audience: { kind: 'all' }, clusters: [name] })],
  [
    'POST /v1/meshes/{meshId}/peer-groups',
    (name) => ({ name: 'other', members: [{ relationship: name }] }),
  ],
  ['POST /v1/meshes/{meshId}/entries', (name) => ({ spiffeId: '/a', cluster: name })],
  [
    'POST /v1/meshes/{meshId}/entries',
    (name) => ({ spiffeId: '/a', federatesWith: { group: name } }),
  ],
  [
    'POST /v1/meshes/{meshId}/clusters',
    (name) => ({ name: 'other', role: 'remote', controlPlanes: [name] }),
  ],
  [
    'POST /v1/meshes/{meshId}/clusters',
    (name) => ({ name: 'other', role: 'primary', networks: [name] }),
  ],
  [
    'POST /v1/meshes/{meshId}/gateways',
    (name) => ({ name: 'other', network: name, address: 'gw.example', port: 443 }),
  ],
]
