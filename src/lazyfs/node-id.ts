/**
 * Node ids are a function of the tables on disk: the table's number and the index in it. So any
 * process that has the tables can answer for any id, and a file has one id in every image that
 * contains its layer. The ids are JavaScript's safe integers: there are under 2^21 tables.
 */
const TABLE_SHIFT = 2 ** 32;
export const MAX_TABLES = 2 ** 21;

/** The id by which the kernel knows the mount's root. linux/fuse.h: FUSE_ROOT_ID */
export const ROOT_ID = 1;

export function nodeIdOf(table: number, index: number): number {
  return table * TABLE_SHIFT + index;
}

export function tableOf(node: number): number {
  return Math.floor(node / TABLE_SHIFT);
}

export function indexOf(node: number): number {
  return node % TABLE_SHIFT;
}
