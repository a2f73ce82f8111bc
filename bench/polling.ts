import { type Bench } from './harness.ts'
export const polling: Bench = async function* () {}
