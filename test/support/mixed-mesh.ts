/** One call of the admin API, its path below the mesh. */
export interface TopologyStep {
  readonly method: 'POST' | 'PATCH' | 'DELETE'
  readonly path: string
  readonly body?: unknown
}

const primary = (name: string, rest: object): TopologyStep => ({
  method: 'POST',
  path: 'clusters',
  body: { name, role: 'primary', ...rest },
})

const gateway = (name: string, network: string, rest: object): TopologyStep => ({
  method: 'POST',
  path: 'gateways',
  body: { name, network, port: 15443, heartbeatSeconds: 3600, ...rest },
})

/**
 * The mixed example of Istio's deployment models page, made from a new mesh: three clusters and two control planes;
 * cluster-1 and cluster-2 share network net-a and control plane cp-1, cluster-3 is in network net-b with control
 * plane cp-2, and all three use both. Each network has a gateway (gw-a, run by cluster-1; gw-b, by cluster-3). The
 * cluster, network and control plane that the mesh began with are gone afterwards.
 *
 * Control planes and gateways promise a heartbeat an hour and were heard when it was made.
 */
export const MIXED_MESH: readonly TopologyStep[] = [
  { method: 'POST', path: 'networks', body: { name: 'net-a' } },
  { method: 'POST', path: 'networks', body: { name: 'net-b' } },
  primary('cluster-1', {
    ownControlPlane: 'cp-1',
    networks: ['net-a'],
    locality: { region: 'eu-west', zone: 'eu-west-a' },
  }),
  primary('cluster-3', {
    ownControlPlane: 'cp-2',
    networks: ['net-b'],
    controlPlanes: ['cp-2', 'cp-1'],
    locality: { region: 'us-east', zone: 'us-east-a' },
  }),
  {
    method: 'POST',
    path: 'clusters',
    body: {
      name: 'cluster-2',
      role: 'remote',
      networks: ['net-a'],
      controlPlanes: ['cp-1', 'cp-2'],
      locality: { region: 'eu-west', zone: 'eu-west-b' },
    },
  },
  { method: 'PATCH', path: 'clusters/cluster-1', body: { controlPlanes: ['cp-1', 'cp-2'] } },
  gateway('gw-a', 'net-a', { cluster: 'cluster-1', address: '198.51.100.10' }),
  gateway('gw-b', 'net-b', { cluster: 'cluster-3', address: '198.51.100.20' }),
  ...['cp-1', 'cp-2'].flatMap((name): TopologyStep[] => [
    {
      method: 'PATCH',
      path: `control-planes/${name}`,
      body: { address: `${name}.acme.example:15012`, heartbeatSeconds: 3600 },
    },
    { method: 'POST', path: `control-planes/${name}/heartbeat` },
  ]),
  { method: 'POST', path: 'gateways/gw-a/heartbeat' },
  { method: 'POST', path: 'gateways/gw-b/heartbeat' },
  { method: 'DELETE', path: 'clusters/default' },
  { method: 'DELETE', path: 'networks/default' },
]

/** Makes {@link MIXED_MESH} with a function that calls the admin API below a mesh and fails unless it succeeds. */
export async function makeMixedMesh(
  ok: (method: string, path: string, body?: unknown) => Promise<unknown>,
): Promise<void> {
  for (const { method, path, body } of MIXED_MESH) await ok(method, path, body)
}
