import { type Bench } from './harness.ts'
export const x509Service: Bench = async function* () {}
