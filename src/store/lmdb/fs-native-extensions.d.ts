/** What is used of a package that comes without types. */
declare module "fs-native-extensions" {
  /** Asks for an exclusive lock on a part of a file; false when somebody else has it. */
  export function tryLock(fd: number, offset?: number, length?: number): boolean;
}
